"""`memgate ui`: MLflow's UI on the runs and models of this project."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from types import FrameType

from memgate.errors import InputError
from memgate.reporting.console import echo
from memgate.tracking.artifacts import ARTIFACTS, server_folder
from memgate.tracking.store import (
    EXPERIMENT,
    connect,
    database,
    experiment,
    store_name,
)

CHART_PAGE = "runs?workflowType=machine_learning&compareRunsMode=CHART"
"""The page of an experiment's runs; without it MLflow opens its page for language models."""

ENVIRONMENT = {
    # MLflow's jobs for language models cost 6 s and 1.2 GB: it starts in 6.5 s with 0.5 GB
    # without them, in 12.7 s with 1.7 GB with them.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of MLflow's own use of starlette
}


def ui(port: int = 5000) -> None:
    """Open the MLflow UI on the runs and models of this project, until Ctrl-C.

    Args:
        port: Port on this machine, 1 to 65535.

    Raises:
        InputError: There is no store, it can't be read, the port is taken, or the server ends.
    """
    if not 0 < port < 65536:
        raise InputError(f"--port: expected 1 to 65535, got {port}")
    path = database()
    if path is None:
        echo(f"the store is {store_name()}; open its address")
        return
    client = connect(create=False)
    _check_free(port)
    runs = client.get_experiment_by_name(EXPERIMENT)
    number = experiment(EXPERIMENT) if runs is None else runs.experiment_id
    page = f"http://127.0.0.1:{port}/#/experiments/{number}/{CHART_PAGE}"
    echo(f"{page}\nmodels: http://127.0.0.1:{port}/#/models\nCtrl-C ends it")
    server = [sys.executable, "-m", "mlflow", "server"]
    stores = ["--backend-store-uri", client.tracking_uri]
    stores += ["--artifacts-destination", str(path.parent / ARTIFACTS)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = ["--uvicorn-opts", "--log-level warning"]
    signal.signal(signal.SIGTERM, _interrupt)
    with (
        server_folder(client, path) as folder,
        subprocess.Popen(
            [*server, *stores, *options, *quiet],
            cwd=folder,
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,  # so that Ctrl-C reaches this process only, which ends them all
        ) as process,
    ):
        try:
            status = process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGTERM)
            return
    raise InputError(f"the MLflow server ended with status {status}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(
                f"--port: {port} is taken ({error.strerror}); choose another, as in "
                "`memgate ui --port 5001`"
            ) from error
