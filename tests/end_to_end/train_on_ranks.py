"""One of the ranks of a test: trains many experiments after another, shared by the ranks, and then
each alone on the first rank, and writes how far the two lie apart.

Started by torchrun: ``train_on_ranks.py CASES.json RESULTS.json``. A case has an experiment (tables)
and maybe snapshots of nothing: everything starts at step 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.objective.ranks import join, leave
from optlab.runners.jobs import TrainJob, perform
from optlab.runners.ranks.job import SharedControls, perform_shared
from optlab.training.control import Inbox
from optlab.training.data_parallel import check_shareable
from optlab.training.events import SECONDS, RunEnded, SeriesBlock, SessionFailed, SnapshotTaken

FINAL = ("end", "last_finite")


def main(cases: Path, results: Path) -> None:
    inbox = Inbox()
    ranks = join(inbox.waiting)
    found: dict[str, Any] = {}
    for name, tables in json.loads(cases.read_text(encoding="utf-8")).items():
        experiment = Experiment.from_dict(tables)
        try:
            check_shareable(experiment, experiment.dataset.load())
        except InvalidInput as error:
            found[name] = {"refused": str(error)}
            continue
        job = TrainJob((experiment.to_toml(),))
        shared = collected(
            perform_shared(job if ranks.first else None, SharedControls(ranks, inbox))
        )
        if ranks.first:
            found[name] = compared(shared, collected(perform(job, inbox)))
    leave(ranks)
    if ranks.first:
        results.write_text(json.dumps(found), encoding="utf-8")


def collected(events: Any) -> dict[str, Any]:
    """The last parameters, the loss of each step, the evaluations and the end."""
    values: dict[str, list[Any]] = {}
    result: dict[str, Any] = {}
    for event in events:
        match event:
            case SeriesBlock():
                for name, series in event.series.items():
                    values.setdefault(name, []).append(series.values)
            case SnapshotTaken(snapshot=snapshot) if snapshot.reason in FINAL:
                result["theta"] = snapshot.theta
            case RunEnded():
                result |= {"status": event.status, "final": event.final, "steps": event.steps}
            case SessionFailed():
                result |= {"status": f"failed: {event.message} {event.detail}", "final": {}}
    result["series"] = {name: np.concatenate(parts) for name, parts in values.items()}
    return result


def compared(shared: dict[str, Any], alone: dict[str, Any]) -> dict[str, Any]:
    if "theta" not in shared or "theta" not in alone:
        return {"shared": shared["status"], "alone": alone["status"]}
    series = {
        name: distance(values, alone["series"][name])
        for name, values in shared["series"].items()
        if name != SECONDS
    }
    final = {
        name: 0.0 if value == alone["final"][name] else distance(value, alone["final"][name])
        for name, value in shared["final"].items()
    }
    return {
        "shared": shared["status"],
        "alone": alone["status"],
        "steps": [shared["steps"], alone["steps"]],
        "names": sorted(shared["series"]) == sorted(alone["series"]),
        "theta": distance(shared["theta"], alone["theta"]),
        "series": series,
        "final": final,
    }


def distance(first: Any, second: Any) -> float:
    """The largest difference relative to the largest value; infinite where one is not a number and
    the other is, or where there are more values on one side.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or (np.isfinite(first) != np.isfinite(second)).any():
        return float("inf")
    finite = np.isfinite(second)
    if not finite.any():
        return 0.0
    scale = float(np.abs(second[finite]).max())
    gap = float(np.abs(first[finite] - second[finite]).max())
    return gap / scale if scale else gap


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
