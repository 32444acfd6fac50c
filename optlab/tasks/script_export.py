"""A run or an experiment as a program of its own, tried before it is handed out."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from optlab import __version__
from optlab.core import interpreter, paths
from optlab.core.errors import InvalidInput, RunFailed
from optlab.core.files import write_atomically
from optlab.experiment import Experiment
from optlab.experiment.data_files import experiment_of
from optlab.scripts.notebook import notebook
from optlab.scripts.writing import Script, script
from optlab.store import RunRecord, Store
from optlab.store.export.writing import check_target
from optlab.tasks.task import Task
from optlab.training.control import Controls, SetValue
from optlab.training.trainer import Trainer

FORMATS: Mapping[str, str] = {"python": ".py", "notebook": ".ipynb"}
"""Format → ending of its files."""
TOLERANCE = 1e-6
"""Difference of a final number, as a share of it where it is above 1, that counts as the same."""
LEAST_SECONDS = 300.0
"""Time limit of a trial, and at least so many times that of the run."""
_TIMES_THE_RUN = 10.0
_COMPARED = (100, 10, 3)
"""Numbers of first steps that are compared in double precision where a run amplifies rounding."""


@dataclass(frozen=True)
class Target:
    """What is written, and where.

    Attributes:
        format: one of :data:`FORMATS`. path: of the program; its data are written beside it, with
            the ending ``.npz``. force: whether existing files are replaced. tried: whether the
            program is run once, in a process of its own, and its final numbers are compared with
            those of the run.
    """

    format: str
    path: Path
    force: bool = False
    tried: bool = True


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: of the program. beside: of its data, None where the program says them itself. files:
            what else was written, which it imports. final: what it printed at its
            end, name → value; empty where it was not tried. differences: name → difference from the
            stored run.
        steps_in_double_precision, difference_in_double_precision: where the numbers differ by more
            than :data:`TOLERANCE`, so many of the first steps were compared in double precision,
            in which rounding has no part, and differed by so much.
    """

    path: Path
    beside: Path | None
    files: tuple[Path, ...] = ()
    final: Mapping[str, float] = field(default_factory=dict)
    differences: Mapping[str, float] = field(default_factory=dict)

    steps_in_double_precision: int = 0
    difference_in_double_precision: float = 0.0

    @property
    def largest(self) -> float | None:
        """The largest difference from the stored run; None where there is nothing to compare."""
        return max(self.differences.values(), default=None)


def export_run(store: Store, run: str, target: Target, *, changed_data: bool = False) -> Exported:
    """Write a stored run as a program that repeats it.

    Args:
        run: its id, or a unique prefix of it. target: what is written, and where.
        changed_data: whether the files that the run has read may have changed.

    Raises:
        InvalidInput: there is no such run, it cannot be written as a program, or the path is not
            usable.
        RunFailed: the program failed when it was tried; nothing is written then.
        StoreError: the run cannot be read, or a file cannot be written.
    """
    record = store.run(run)
    _check_repeatable(store, record)
    experiment = experiment_of(
        record.id, record.experiment, record.identities, changed_data=changed_data
    )
    budget = experiment.budget
    whole = record.status == "finished" and not budget.seconds and record.steps == budget.steps
    about = [
        f"Repeats run {record.id} of OptLab {record.versions.get('optlab', '')}: "
        f"{record.steps:,} steps, recorded with torch {record.versions.get('torch', '?')} on "
        f"{record.device_name or record.device or 'this machine'}.",
    ]
    final = {name: value for name, value in record.final.items() if value is not None}
    if "train_loss" in final:
        about.append(f"Its final training loss was {final['train_loss']:.9g}.")
    limit = max(LEAST_SECONDS, _TIMES_THE_RUN * record.seconds)
    return _export(experiment, None if whole else record.steps, about, final, target, limit)


def export_experiment(experiment: Experiment, target: Target) -> Exported:
    """Write an experiment as a program; see :func:`export_run`.

    Raises:
        InvalidInput: it cannot be written as a program, or the path is not usable.
        RunFailed: the program failed when it was tried; nothing is written then.
        StoreError: a file cannot be written.
    """
    about = [f"Trains an experiment of OptLab {__version__}."]
    return _export(experiment, None, about, {}, target, 10.0 * LEAST_SECONDS)


@dataclass(frozen=True)
class ScriptTextTask(Task):
    """Write an experiment as a script to be pasted; the result is its text.

    Its data are kept in the folder ``scripts`` of OptLab's data folder, under a name that says what
    they are; the script names that file.

    Attributes:
        document: the experiment, as TOML.
    """

    document: str

    def run(self, controls: Controls) -> Iterator[str]:
        """Write the script; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: the experiment cannot be written as a program.
            StoreError: the data cannot be written.
        """
        about = [f"Trains an experiment of OptLab {__version__}."]
        program = script(Experiment.from_toml(self.document), about=about)
        folder = paths.home() / "scripts"
        models = folder / _digest(*(part for one in program.files.items() for part in one))
        for name, source in program.files.items():
            _write_once(models / name, source)
        beside = ""
        if program.arrays:
            content = _packed(program)
            path = folder / f"{_digest(content)}.npz"
            _write_once(path, content)
            beside = str(path)
        yield program.text(beside, str(models))


def _digest(*parts: str | bytes) -> str:
    """Return a name that says what something consists of."""
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(len(content).to_bytes(8, "little") + content)
    return found.hexdigest()[:16]


def _write_once(path: Path, content: bytes) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)


def _needs(program: Script, beside: str) -> list[str]:
    """Return what a program needs, in sentences."""
    modules = ["torch", "numpy"]
    if any("from sklearn" in section.code for section in program.sections):
        modules.append("scikit-learn")
    for package, has in program.packages.items():
        modules.append(f"the package {package}, which has {has}")
    needed = f"OptLab is not needed, only {', '.join(modules[:-1])} and {modules[-1]}."
    if program.files:
        files = sorted(program.files)
        listed = " and ".join(filter(None, [", ".join(files[:-1]), files[-1]]))
        belongs = "belongs" if len(files) == 1 else "belong"
        needed += f" It imports {listed}, which {belongs} beside this file."
    if not program.arrays:
        return [needed]
    kinds = {
        "the data": any(name.startswith("x_train") for name in program.arrays),
        "the start weights": any(name.startswith("start/") for name in program.arrays),
    }
    held = " and ".join(name for name, there in kinds.items() if there) or "what the steps drew"
    return [f"{needed} Of the run, {held} are in {beside}, which belongs beside this file."]


def _packed(program: Script) -> bytes:
    """Return the file beside a program."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **program.arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _check_repeatable(store: Store, record: RunRecord) -> None:
    if record.going:
        raise InvalidInput(f"Run {record.id} is in progress; export it when it has ended.", "run")
    if record.parent:
        raise InvalidInput(
            f"Run {record.id} is a fork, which begins in the middle of run {record.parent}; a "
            "script begins at step 0.",
            "run",
        )
    if not record.steps:
        raise InvalidInput(f"Run {record.id} has taken no step that could be repeated.", "run")
    changed = [one.path for _, one in store.controls(record.id) if isinstance(one, SetValue)]
    if changed:
        raise InvalidInput(
            f"{changed[0]} was changed during run {record.id}; a script repeats only runs whose "
            "values were the same from the start.",
            "run",
        )


def _export(
    experiment: Experiment,
    steps: int | None,
    about: list[str],
    final: Mapping[str, float],
    target: Target,
    limit: float,
) -> Exported:
    path = target.path
    beside = path.with_suffix(".npz")
    if beside == path:
        raise InvalidInput(
            f"{path} ends in .npz, as the data beside the program do; choose another ending.", "to"
        )
    check_target(path, force=target.force)
    program = script(experiment, steps=steps, about=about)
    if program.arrays:
        check_target(beside, force=target.force)
    files = _copies(program, path)
    program = dataclasses.replace(program, about=(*program.about, *_needs(program, beside.name)))
    data = _packed(program)
    found = _tried(program, data, limit) if target.tried else {}
    both = {name: (found[name], final[name]) for name in final if name in found}
    differences = {name: difference(*values) for name, values in both.items()}
    agreed = (0, 0.0)
    if max(differences.values(), default=0.0) > TOLERANCE:
        agreed = _agreed_in_double_precision(experiment, steps, limit)
    text = (notebook if target.format == "notebook" else Script.text)(program, beside.name)
    if program.arrays:
        write_atomically(beside, data)
    for copy, source in files.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(copy, source)
    write_atomically(path, text.encode())
    return Exported(
        path, beside if program.arrays else None, tuple(files), found, differences, *agreed
    )


def _copies(program: Script, path: Path) -> dict[Path, bytes]:
    """Return the files that have to be written beside a program: path → content.

    Those that are there already are not among them.

    Raises:
        InvalidInput: another file is there, which is not replaced, since it may be the user's only
            one.
    """
    found = {}
    for name, content in program.files.items():
        copy = path.parent / name
        if copy.resolve() == path.resolve():
            raise InvalidInput(
                f"{path} has the name of a file that the script imports; choose another name.",
                "to",
            )
        if not copy.exists():
            found[copy] = content
        elif not _holds(copy, content):
            raise InvalidInput(
                f"The script imports a copy of {name} beside it, but {copy} is another file; choose "
                "another folder.",
                "to",
            )
    return found


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _agreed_in_double_precision(
    experiment: Experiment, steps: int | None, limit: float
) -> tuple[int, float]:
    """Return for how many of its first steps the script is the same in double precision.

    Some runs amplify the rounding of every step until their single-precision numbers are others:
    that is no mistake of the script. Some do within a few steps even in double precision, so fewer
    steps are compared where many differ.

    Raises:
        RunFailed: even the first few steps differ.
    """
    double = experiment.with_values({"precision": "float64", "device": "cpu"})
    found = 0.0
    for most in _COMPARED:
        number = min(most, steps or experiment.budget.steps)
        trainer = Trainer([double])
        for _ in range(number):
            trainer.advance()
        program = script(double, steps=number)
        values = _tried(program, _packed(program), limit)
        expected = trainer.evaluate()
        found = max(
            difference(values[name], float(expected[name]))
            for name in ("train_loss", "validation_loss")
            if name in values
        )
        if found <= TOLERANCE:
            return number, found
    raise RunFailed(
        f"The script differs from the run after {number:,} steps (by {found:.1e} in double "
        "precision), so it is not written; please report the experiment."
    )


def difference(value: float, other: float) -> float:
    """Return the difference of two numbers, as a share of the second where that is above 1."""
    if value == other or (math.isnan(value) and math.isnan(other)):
        return 0.0
    return abs(value - other) / max(1.0, abs(other))


def _tried(program: Script, data: bytes, limit: float) -> dict[str, float]:
    """Run a program in a process of its own, and return what it printed at its end.

    Raises:
        RunFailed: it failed, or took longer than ``limit`` seconds.
    """
    # A script that imports the user's code needs its own folder, and what the user made importable.
    alone = [] if program.files or program.packages else ["-I"]
    with tempfile.TemporaryDirectory(prefix="optlab-script-") as folder:
        file = Path(folder) / "optlab_script.py"
        file.write_text(program.text("optlab_script.npz"), encoding="utf-8")
        file.with_suffix(".npz").write_bytes(data)
        for name, source in program.files.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_bytes(source)
        try:
            done = subprocess.run(
                interpreter.command(file, alone),
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=limit,
                cwd=folder,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RunFailed(
                f"The script did not end within {limit:,.0f} seconds, so it is not written; write "
                "it without a trial by --no-check."
            ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise RunFailed(f"The script failed when it was tried, so it is not written: {last}")
    return printed(done.stdout)


def printed(text: str) -> dict[str, float]:
    """Return the final numbers that a script has printed, by name.

    Raises:
        RunFailed: it has printed none.
    """
    lines = text.splitlines()
    if "final" not in lines:
        raise RunFailed("The script ended without its final numbers, so it is not written.")
    pairs = (line.partition(": ") for line in lines[lines.index("final") + 1 :])
    return {name: float(value) for name, _, value in pairs if value}
