"""Targeted suites."""
