"""A probabilistic grammar of agreement items."""
