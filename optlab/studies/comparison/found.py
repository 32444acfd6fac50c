"""What was found of the shipped studies that are conducted before a release.

The file is written by ``tools/found_studies.py`` from the store, never by hand.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from optlab.core import paths, toml
from optlab.experiment.settings import flat
from optlab.store.records import StudyRecord
from optlab.studies.comparison.protocols import settled
from optlab.studies.comparison.study import Arm, Study
from optlab.studies.comparison.words import counted_table
from optlab.studies.found_file import read_found

_OF_ARMS = ("mean", "interval", "median", "censored", "diverged", "setting")
_OF_COUNTS = ("mean", "interval", "median", "censored")


def found() -> dict[str, Mapping[str, Any]]:
    """Return name of a shipped study → what was found; {} where nothing was.

    Raises:
        StoreError: the file is damaged.
    """
    return read_found(paths.studies(), "study")


def fingerprint(study: Study) -> str:
    """Return a hash of what a study does, which changes with its protocol and not with its words.

    Whether its runs are trained one at a time is no part of it.
    """
    table = settled(toml.parse(study.with_seeds(alone=False).to_toml()))
    words = {"question", "about"}
    protocol = {name: value for name, value in table.items() if name not in words}
    return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()


def found_document(name: str, study: Study, record: StudyRecord) -> dict[str, Any]:
    """Return what was found of a study, as the file has it.

    Args:
        name: of the shipped study. record: of it, finished.
    """
    result = record.result
    return {
        "study": name,
        "question": study.question,
        "date": record.ended[:10],
        "versions": dict(record.versions),
        **{key: result[key] for key in ("measure", "statement", "verdict", "seeds", "effort")},
        "conducted_seconds": round(record.seconds, 1),
        "comparisons": result["comparisons"],
        "arms": {arm: _arm(study, arm, written) for arm, written in result["arms"].items()},
        "protocol": fingerprint(study),
    }


def _arm(study: Study, name: str, written: Mapping[str, Any]) -> dict[str, Any]:
    document = {key: written[key] for key in _OF_ARMS}
    document["seeds"] = len(written["low"])
    document["counted"] = {
        unit: {key: one[key] for key in _OF_COUNTS} for unit, one in written["counted"].items()
    }
    arm = next((arm for arm in study.arms if arm.name == name), None)
    if arm is not None and arm.axes:
        document["untuned"] = _untuned(arm, written)
    return document


def _untuned(arm: Arm, written: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what tuning saw of the values that the arm has itself; None where it did not try them."""
    values = dict(flat(arm.experiment.to_dict()))
    own = {axis.path: values[axis.path] for axis in arm.axes}
    for tried in written["tried"]:
        if tried["setting"] == own:
            return {"value": tried["value"], "diverged": tried["value"] is None}
    return None


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was found as paragraphs, apart from the table of the arms."""
    versions = document["versions"]
    yield (
        f"Found on {document['date']} with OptLab {versions.get('optlab', '?')} and torch "
        f"{versions.get('torch', '?')}: {document['statement']}: {document['verdict']} here."
    )
    diverged = [
        name
        for name, arm in document["arms"].items()
        if arm["diverged"] or (arm.get("untuned") or {}).get("diverged")
    ]
    yield "Diverged, tuned or at their defaults: " + (", ".join(diverged) or "none") + "."


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows of the arms, those first that reached the target soonest."""

    def rank(item: tuple[str, Mapping[str, Any]]) -> tuple[float, float]:
        mean = item[1]["mean"]
        return float(item[1]["censored"]), math.inf if mean is None else float(mean)

    arms = dict(sorted(document["arms"].items(), key=rank))
    headings, rows = counted_table(arms)
    settings = {
        name: ", ".join(
            f"{path.rpartition('.')[2]} {value:g}" for path, value in arm["setting"].items()
        )
        for name, arm in arms.items()
    }
    return (*headings, "Setting"), [(*row, settings[row[0]]) for row in rows]
