"""The stages of the flow: each takes typed values and gives the next ones. `pipeline.flow` puts them in order."""
