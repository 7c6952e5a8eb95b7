"""`memgate ui`: the MLflow UI on memgate's store."""

from __future__ import annotations

import os
import subprocess
import sys

from memgate.commands.lightning_cli import EXPERIMENT
from memgate.errors import InputError
from memgate.tracking.store import database, experiment, tracking_uri

PAGE = "runs?workflowType=machine_learning&compareRunsMode=CHART"
"""Without it MLflow opens its page for language models."""


def ui(port: int) -> None:
    """Serve the MLflow UI until Ctrl-C, and print the address of memgate's runs.

    Args:
        port: Port on this machine, 1 to 65535.

    Raises:
        InputError: There is no store, it can't be read, or the server doesn't start.
    """
    if not 0 < port < 65536:
        raise InputError(f"--port: expected 1 to 65535, got {port}")
    uri = tracking_uri()
    if database() is None:
        print(f"the store is {uri}; open its own address")
        return
    page = f"http://127.0.0.1:{port}/#/experiments/{experiment(EXPERIMENT)}/{PAGE}"
    print(f"{page}\nmodels: http://127.0.0.1:{port}/#/models\nCtrl-C ends it", flush=True)
    server = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # Without the jobs of language models it starts in 6.5 s with 0.5 GB, not 12.7 s with 1.7 GB.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    status = subprocess.run([*server, *options], env=environment, check=False).returncode
    if status:
        raise InputError(f"the MLflow server ended with {status}; is port {port} in use?")
