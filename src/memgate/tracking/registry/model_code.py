"""The code of a registered model ("models from code"): MLflow copies this file into each of them.

Stored copies outlive every move inside the package, so the file is small and imports one name.
"""

from mlflow.models import set_model

from memgate.tracking.registry.served_model import AgreementModel

set_model(AgreementModel())
