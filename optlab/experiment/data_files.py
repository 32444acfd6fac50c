"""The files that an experiment reads, and whether they are still those that a run has read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from optlab.core.errors import ChangedData, InvalidInput
from optlab.core.identity import FileIdentity, identify
from optlab.experiment.experiment import Experiment
from optlab.experiment.sections import SECTIONS

_GO_ON = ", or continue with the changed data by --changed-data on the command line."


def files_of(experiment: Experiment) -> dict[str, FileIdentity]:
    """Return the path of each file that an experiment reads, with its identity now.

    Raises:
        InvalidInput: one cannot be read.
    """
    return {str(path): _identity(path, "") for path in _paths(experiment)}


def experiment_of(
    run: str,
    document: str,
    recorded: Mapping[str, FileIdentity],
    *,
    changed_data: bool = False,
    check: bool = True,
) -> Experiment:
    """Return the experiment of a stored run, which reads the same data as the run has read.

    Args:
        run: its id.
        document: its experiment, as TOML.
        recorded: what :func:`files_of` gave when it started; empty for a run of an older OptLab.
        changed_data: whether the files may have changed.
        check: see :meth:`optlab.experiment.Experiment.from_dict`.

    Raises:
        ChangedData: a file has changed, or another one would be read.
        InvalidInput: a file is missing, or the experiment is not valid.
    """
    if changed_data or not recorded:
        return Experiment.from_toml(document, check=check)
    for path, before in recorded.items():
        now = _identity(Path(path), f"Run {run} was trained on this file; put it back")
        if now != before:
            raise ChangedData(
                f"{path} is not what run {run} was trained on: it had {before}, and has now {now}.",
                f"put the former file back{_GO_ON}",
            )
    experiment = Experiment.from_toml(document, check=check)
    for path in map(str, _paths(experiment)):
        if path not in recorded:
            raise ChangedData(
                f"{path} would be read now, but run {run} was trained without it.",
                f"move it away{_GO_ON}",
            )
    return experiment


def _paths(experiment: Experiment) -> list[Path]:
    return [path for section in SECTIONS for path in getattr(experiment, section).files()]


def _identity(path: Path, advice: str) -> FileIdentity:
    try:
        return identify(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path} cannot be read: {reason}{advice and '. '}{advice}.") from None
