"""From a `State` to files, images and test results: what an engine must do, and the engines there are."""
