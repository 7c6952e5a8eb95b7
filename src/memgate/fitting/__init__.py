"""One fit: module, configuration, run, checkpoints, analysis."""
