"""`memgate ui`: the MLflow UI on memgate's store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from types import FrameType

from memgate.errors import InputError
from memgate.fitting.configuration import EXPERIMENT
from memgate.tracking.store import connect, database, experiment, tracking_uri

PAGE = "runs?workflowType=machine_learning&compareRunsMode=CHART"
"""Without it MLflow opens its page for language models."""

ENVIRONMENT = {
    # Without the jobs of language models it starts in 6.5 s with 0.5 GB, not 12.7 s with 1.7 GB.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of MLflow's own use of starlette
}


def ui(port: int) -> None:
    """Serve the MLflow UI until Ctrl-C or SIGTERM, and print the address of memgate's runs.

    Args:
        port: Port on this machine, 1 to 65535.

    Raises:
        InputError: There is no store, it can't be read, the port is taken, or the server ends.
    """
    if not 0 < port < 65536:
        raise InputError(f"--port: expected 1 to 65535, got {port}")
    uri = tracking_uri()
    if database() is None:
        print(f"the store is {uri}; open its own address")
        return
    connect(create=False)
    _check_free(port)
    page = f"http://127.0.0.1:{port}/#/experiments/{experiment(EXPERIMENT)}/{PAGE}"
    print(f"{page}\nmodels: http://127.0.0.1:{port}/#/models\nCtrl-C ends it", flush=True)
    server = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = ["--uvicorn-opts", "--log-level warning"]
    signal.signal(signal.SIGTERM, _interrupt)
    with subprocess.Popen(
        [*server, *options, *quiet],
        env={**os.environ, **ENVIRONMENT},
        start_new_session=True,  # Ctrl-C is ours; the server and its workers end together
    ) as process:
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
                f"--port: {port} is taken ({error.strerror}); name another, as in "
                "`make ui PORT=5001`"
            ) from error
