"""Sentences in, agreement examples out."""
