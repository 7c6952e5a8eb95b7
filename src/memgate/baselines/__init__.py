"""Baselines that use no syntax."""
