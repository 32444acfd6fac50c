"""What ``optlab critical``, ``spectrum`` and ``slice`` look at, by the name that was given.

A file, a preset, or a stored run.
"""

from __future__ import annotations

from pathlib import Path

from optlab.cli.run import ONLY_STORED, changed
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment, presets
from optlab.experiment.named import load
from optlab.store import Store
from optlab.tasks.landscape import experiment_of, with_path
from optlab.tasks.subject import Subject, stored, trained


def subject(
    source: str,
    changes: list[str],
    steps: int,
    examples: int = 0,
    *,
    path: bool = False,
    changed_data: bool = False,
) -> Subject:
    """Look up a stored run's latest weights, or train an experiment.

    Args:
        source: an experiment file, a preset, or a stored run (its name or the beginning of it).
        changes: ``path=value`` texts for an experiment. steps: updates to train an experiment for.
        examples: use at most so many training examples; 0 for all.
        path: whether its path is needed; a stored run with few snapshots is then trained again
            where that is quick.
        changed_data: whether the files that a stored run has read may have changed.

    Raises:
        InvalidInput: there is no such thing, or it is wrong.
    """
    if steps < 0 or examples < 0:
        raise InvalidInput(
            f"--steps and --examples must be 0 or more, but they are {steps} and {examples}."
        )
    if Path(source).is_file() or source in {path.stem for path in presets.files()}:
        if changed_data:
            raise InvalidInput(ONLY_STORED, "changed_data")
        return trained(changed(load(source), changes), steps, examples)
    if Path(source).suffix:
        load(source)  # says what is wrong with it as a file
    with Store.open_readonly() as store:
        try:
            store.run(source)
        except InvalidInput:
            load(source)  # which names the files and presets that it may have meant
            raise
    if changes or steps:
        raise InvalidInput(
            f"'{source}' is a stored run, whose latest weights are used as they are: --set and "
            "--steps cannot be combined with it."
        )
    look_up = with_path if path else stored
    return look_up(source, examples, changed_data=changed_data)


def experiment_of_source(source: str, changes: list[str]) -> Experiment:
    """Return the experiment of what :func:`subject` looks up.

    Raises:
        InvalidInput: there is no such thing, or it is wrong.
    """
    if Path(source).is_file() or source in {path.stem for path in presets.files()}:
        return changed(load(source), changes)
    return experiment_of(source)
