"""Which units carry the number."""
