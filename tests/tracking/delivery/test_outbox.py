from __future__ import annotations

import time
from pathlib import Path

import mlflow
import pytest

from memgate.errors import InputError
from memgate.tracking.delivery.outbox import Outbox
from memgate.tracking.delivery.spool import Spool
from memgate.tracking.store import connect, experiment, store_name


@pytest.fixture
def spool(project: Path) -> Spool:
    """Of a run in the project's store."""
    run_id = connect().create_run(experiment("synthetic")).info.run_id
    return Spool.create(project / "mlruns/spool" / run_id, {"run": "toy", "store": "x"})


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    """The client of a server that isn't there."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return mlflow.MlflowClient("http://127.0.0.1:9")


def history(spool: Spool) -> list[tuple[int, float]]:
    found = connect().get_metric_history(spool.run_id, "loss")
    return [(point.step, point.value) for point in found]


def test_full_outboxes_are_sent_and_nothing_is_lost(spool: Spool) -> None:
    outbox = Outbox(connect(), spool)
    outbox.add_metrics({"loss": 0.0}, step=0)
    assert not history(spool)  # one alone waits
    for step in range(1, 2500):
        outbox.add_metrics({"loss": step / 2}, step)
    assert len(history(spool)) == 2000
    outbox.send()
    assert history(spool) == [(s, s / 2) for s in range(2500)]
    outbox.close("FINISHED", 5)
    assert not spool.folder.exists()
    ended = connect().get_run(spool.run_id).info
    assert (ended.status, ended.end_time) == ("FINISHED", 5)


def test_old_metrics_are_sent(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(connect(), spool)
    outbox.add_metrics({"loss": 1.0}, step=0)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 5)
    outbox.add_metrics({"loss": 2.0}, step=1)
    assert len(history(spool)) == 2
    spool.close()


def test_a_resumed_run_says_nothing_twice(spool: Spool) -> None:
    first = Outbox(connect(), spool)
    for step in range(3):
        first.add_metrics({"loss": 1 / (step + 3), "a b?": step}, step)
    first.send()
    resumed = Outbox(connect(), spool, resumed=True)
    for step in range(1, 5):  # its checkpoint was that of step 0
        resumed.add_metrics({"loss": 1 / (step + 3), "a b?": 2 * step}, step)
    resumed.send()
    assert history(spool) == [(step, 1 / (step + 3)) for step in range(5)]
    other = connect().get_metric_history(spool.run_id, "a b_")  # had other values, so all are told
    assert sorted((p.step, p.value) for p in other)[:4] == [(0, 0), (1, 1), (1, 2), (2, 2)]
    spool.close()


def test_a_resumed_run_asks_a_dead_store_once(spool: Spool, dead: mlflow.MlflowClient) -> None:
    resumed = Outbox(dead, spool, resumed=True)
    resumed.add_metrics({"loss": 0.5, "other": 1.0}, 0)
    resumed.add_metrics({"third": 1.0}, 0)
    assert spool.pending() == "3 metrics"
    assert resumed._logged == {}
    spool.close()


def test_names_mlflow_refuses_and_values_that_are_no_numbers(spool: Spool) -> None:
    outbox = Outbox(connect(), spool)
    outbox.add_metrics({"acc@(1)": 1.0, "val/acc 0.5": 2.0, "nan": float("nan")}, step=0)
    outbox.send()
    metrics = connect().get_run(spool.run_id).data.metrics
    assert metrics.keys() == {"acc__1_", "val/acc 0.5", "nan"}
    assert metrics["nan"] != metrics["nan"]
    spool.close()


def test_what_a_store_refuses_is_kept(
    spool: Spool, dead: mlflow.MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(dead, spool)
    outbox.add_metrics({"loss": 1.0}, step=3)
    outbox.send()
    kept = f"memgate: kept on disk, as {store_name()} can't be written: Connection refused"
    assert caplog.messages == [kept]
    caplog.clear()
    for step in range(4, 1100):  # full, but the next try is a minute away: no word, no request
        outbox.add_metrics({"loss": 2.0}, step)
    assert outbox.add_item("tags", {"a": "b"}) is None
    outbox.close("FINISHED", 5)
    left = f"memgate: 1097 metrics, tags, end wait in {spool.folder}; `memgate sync` delivers them"
    assert caplog.messages == [f"{left}, and so does the next run"]
    again = Spool.open(spool.folder)
    assert again is not None
    Outbox(connect(), again).close("FAILED", 6)
    assert history(spool) == [(3, 1.0), *((step, 2.0) for step in range(4, 1100))]
    assert connect().get_run(spool.run_id).data.tags["a"] == "b"


def test_a_store_that_is_back_is_noticed(
    spool: Spool,
    dead: mlflow.MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    outbox = Outbox(dead, spool)
    outbox.add_metrics({"loss": 1.0}, step=0)
    outbox.send()
    monkeypatch.setattr(outbox, "_client", connect())
    outbox.add_metrics({"loss": 2.0}, step=1)
    assert not history(spool)  # it waits a minute
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    outbox.add_metrics({"loss": 3.0}, step=2)
    assert history(spool) == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert f"memgate: what was kept on disk is delivered to {store_name()}" in caplog.messages
    spool.close()


def test_before_the_first_metric_a_refusal_stops_the_run(
    spool: Spool, dead: mlflow.MlflowClient
) -> None:
    outbox = Outbox(dead, spool)
    outbox.keep_metrics({"system/cpu": 1.0}, 0)  # the monitor's don't count
    with pytest.raises(InputError, match="can't be written"):
        outbox.add_item("tags", {"a": "b"})
    spool.close()
