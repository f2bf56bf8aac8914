"""From a plan to a graph: each component its own normalised layer, an image a stack of them."""
