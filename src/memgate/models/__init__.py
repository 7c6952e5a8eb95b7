"""Recurrent classifiers whose every gate can be read."""
