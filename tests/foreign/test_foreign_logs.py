"""Logs that the real programs write are read without a lost point."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from optlab.outside.foreign_runs.records import ForeignRun
from optlab.tasks.watched_runs import WatchedFolder

pytestmark = pytest.mark.foreign

VALUES = [(step, 1 / (step + 1), math.nan if step == 3 else step / 2) for step in range(200)]

COMMON = """
import math, sys
VALUES = [(step, 1 / (step + 1), math.nan if step == 3 else step / 2) for step in range(200)]
"""
SCRIPTS = {
    "TensorBoard": """
from tensorboardX import SummaryWriter
with SummaryWriter("run") as writer:
    for step, loss, other in VALUES:
        writer.add_scalar("loss", loss, step)
        writer.add_scalar("other", other, step)
""",
    "W&B": """
import wandb
run = wandb.init(project="p", name="a name", config={"lr": 0.1}, mode="offline")
for step, loss, other in VALUES:
    run.log({"loss": loss, "other": other, "text": "x" * 300}, step=step)
run.finish()
""",
    "MLflow": """
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
with mlflow.start_run(run_name="a name"):
    mlflow.log_param("lr", 0.1)
    for step, loss, other in VALUES:
        mlflow.log_metric("loss", loss, step=step)
        mlflow.log_metric("other", other, step=step)
""",
    "MLflow folder": """
import os
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
import mlflow
mlflow.set_tracking_uri("file:mlruns")
with mlflow.start_run(run_name="a name"):
    mlflow.log_param("lr", 0.1)
    for step, loss, other in VALUES:
        mlflow.log_metric("loss", loss, step=step)
        mlflow.log_metric("other", other, step=step)
""",
    "Trackio": """
import trackio
trackio.init(project="p", name="a name", config={"lr": 0.1})
for step, loss, other in VALUES:
    trackio.log({"loss": loss, "other": other}, step=step)
trackio.finish()
""",
    "CSV": """
from lightning.pytorch.loggers import CSVLogger
logger = CSVLogger("logs", name="a")
for step, loss, other in VALUES:
    logger.log_metrics({"loss": loss}, step=step)
    logger.log_metrics({"other": other}, step=step)
logger.save()
""",
}


@pytest.fixture(params=SCRIPTS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> ForeignRun:
    """The run that a program has recorded."""
    environment = {
        **os.environ,
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "WANDB_DIR": str(tmp_path),
        "WANDB_ERROR_REPORTING": "false",
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    # Lightning lives beside OptLab, the others in an environment of their own (see the Makefile).
    own = request.param != "CSV" and os.environ.get("OPTLAB_LOGS_PYTHON")
    program = str(Path(own).absolute()) if own else sys.executable
    done = subprocess.run(
        [program, "-c", COMMON + SCRIPTS[request.param]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = WatchedFolder(tmp_path)
    begun = time.perf_counter()
    folder.read()
    print(f"{request.param}: read in {1000 * (time.perf_counter() - begun):.0f} ms")
    assert folder.problems == {}
    (found,) = [run for run in folder.runs.values() if "loss" in run.series]
    assert found.identity.source == request.param.split(" folder")[0]
    return found


def test_that_no_point_is_lost(run: ForeignRun) -> None:
    for column, name in enumerate(("loss", "other"), start=1):
        steps = np.concatenate([part.steps for part in run.series[name]])
        values = np.concatenate([part.values[:, 0] for part in run.series[name]])
        wanted = np.array([row[column] for row in VALUES])
        if run.identity.source == "TensorBoard":
            wanted = wanted.astype(np.float32).astype(float)
        np.testing.assert_array_equal(steps, [row[0] for row in VALUES])
        np.testing.assert_array_equal(values, wanted)
    assert run.skipped == 0
    if run.identity.source in ("W&B", "MLflow", "Trackio"):
        assert run.identity.title == "a name"
        assert run.identity.settings == {"lr": "0.1"}
