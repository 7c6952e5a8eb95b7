"""Which version serves: models, champion, comparison, served model."""
