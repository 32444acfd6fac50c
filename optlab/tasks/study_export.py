"""A stored study as a file: one page, or the value of each of its runs as a table."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optlab.core import files
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean
from optlab.store import Store
from optlab.store.export.writing import check_target
from optlab.store.records import StudyRecord
from optlab.studies import report
from optlab.studies.comparison import reading
from optlab.studies.comparison.readings import one_number
from optlab.studies.comparison.study import Study
from optlab.studies.comparison.words import setting_of_seed
from optlab.tasks.task import Task
from optlab.training.control import Controls


def export_study(
    store: Store, study_id: str, format: str, path: Path, *, force: bool = False
) -> StudyRecord:
    """Write a finished study to a file, completely or not at all.

    Args:
        study_id: its id, or a unique prefix of it. format: one of :data:`FORMATS`. path: of the
            file. force: whether an existing file is replaced.

    Returns:
        the record of the study.

    Raises:
        InvalidInput: there is no such study or format, it has no result yet, ``path`` is not
            usable, or matplotlib is needed and not installed.
        StoreError: the study cannot be read, or the file cannot be written.
    """
    if format not in FORMATS:
        raise InvalidInput(
            f"The format of a study is '{format}'{did_you_mean(format, FORMATS)}, but it must be "
            f"one of {', '.join(FORMATS)}.",
            "format",
        )
    check_target(path, force=force)
    record = store.study(study_id)
    if not record.result:
        raise InvalidInput(
            f"Study {record.id} is {record.status} and has no result yet; go on with it by: optlab "
            f"study --resume {record.id}"
        )
    text = FORMATS[format](store, record, reading.from_toml(record.document))
    with files.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return record


def _page(store: Store, record: StudyRecord, study: Study) -> str:
    return report.page(record, study, curves_of(store, record, study))


def curves_of(store: Store, record: StudyRecord, study: Study) -> report.Curves:
    """Return the series of the measure of each run that decides; arms without runs are left out.

    Args:
        record: of the study, with its result.

    Raises:
        StoreError: the store cannot be read.
    """
    probes = {arm.name for arm in study.probes}
    name, part = study.measured.of, study.measured.part
    runs = {
        arm: result["runs"]
        for arm, result in record.result["arms"].items()
        if arm not in probes and study.measured_of(arm).of == name
    }
    series = store.series_of(list(itertools.chain.from_iterable(runs.values())), [name])
    return {
        arm: [one_number(series[run][name], part) for run in ids if name in series.get(run, {})]
        for arm, ids in runs.items()
    }


def _values(store: Store, record: StudyRecord, study: Study) -> str:
    """Return a row for each run that decides: arm, seed, run, bounds of its value, and setting."""
    paths = list(dict.fromkeys(axis.path for arm in study.arms for axis in arm.axes))
    header = ["arm", "seed", "run", "low", "high", *paths]
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow(header)
    writer.writerows(_rows(record.result["arms"], paths))
    return "".join(lines.texts)


def _rows(arms: Mapping[str, Mapping[str, Any]], paths: list[str]) -> Iterator[list[Any]]:
    for name, arm in arms.items():
        runs = arm["runs"] or [""] * len(arm["low"])
        bounds = zip(runs, arm["low"], arm["high"], strict=True)
        for seed, (run, low, high) in enumerate(bounds):
            yield [
                name,
                seed,
                run,
                "" if low is None else low,
                "" if high is None else high,
                *(setting_of_seed(arm, seed).get(path, "") for path in paths),
            ]


class _Lines:
    """Collects what a CSV writer writes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write(self, text: str) -> None:
        """Keep a line."""
        self.texts.append(text)


FORMATS: Mapping[str, Callable[[Store, StudyRecord, Study], str]] = {"html": _page, "csv": _values}
"""Format → the function that returns the text of the file."""


@dataclass(frozen=True)
class ExportStudyTask(Task):
    """Write a finished study to a file; the result is its path.

    Attributes:
        study_id: its id. format: one of :data:`FORMATS`. path: of the file, which is replaced.
    """

    study_id: str
    format: str
    path: Path

    def run(self, controls: Controls) -> Iterator[Path]:
        """Write the file; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: see :func:`export_study`.
            StoreError: the study cannot be read, or the file cannot be written.
        """
        with Store.open_readonly() as store:
            export_study(store, self.study_id, self.format, self.path, force=True)
        yield self.path
