"""The only folder that knows MLflow: the store, runs, provenance, delivery, the registry."""
