"""Counts that add up, and the uncertainty of their ratios."""
