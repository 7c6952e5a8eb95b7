"""One file a command: the only place where training, evaluation, plots and tracking meet."""
