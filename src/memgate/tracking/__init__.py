"""The only folder that knows MLflow: runs, registry, the pyfunc model."""
