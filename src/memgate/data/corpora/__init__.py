"""Items from raw text."""
