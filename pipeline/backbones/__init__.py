"""The networks that a model starts from."""
