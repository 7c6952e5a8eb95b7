"""A probabilistic grammar of agreement items: words, templates, and the source `Grammar`."""

from memgate.data.sources.grammar.source import MAX_ATTRACTORS, MAX_INTERVENING, Grammar

__all__ = ["MAX_ATTRACTORS", "MAX_INTERVENING", "Grammar"]
