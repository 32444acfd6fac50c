"""The contract of every demonstration, checked for all files of the folder, so that a new file is
checked as soon as it is added.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.core import registry, walk
from optlab.core.errors import InvalidInput
from optlab.experiment.pages import page, sentence
from optlab.studies import demonstrations
from optlab.studies.demonstrations.base import Demonstration, DemonstrationResult, Progress

SMALL: Mapping[str, Mapping[str, Any]] = {
    "symmetry": {"hidden": [3, 2], "steps": 5, "swaps": 1},
    "bad_minima": {"starts": 10, "steps": 300},
    "random_functions": {"largest": 2, "functions": 2, "predicted": 100},
    "random_matrix_index": {"sizes": [3, 6], "heights": 3, "matrices": 5, "signs": 1000},
    "linear_autoencoder_starts": {"starts": 3, "steps": 550, "saddles": 1},
    "index_against_cost": {"units": 1, "runs": 2, "at": [1, 5]},
    "newton_at_saddles": {"units": 2, "steps": 12},
    "powers_of_w": {"size": 4, "times": 10, "length": 6, "units": 3, "training": 2},
    "cd_bias": {"visible": 3, "hidden": 2, "examples": 4, "largest": 3},
    "width_success": {"widths": [1, 2], "starts": 3, "steps": 60, "examples": 40},
    "gradient_noise": {"at": [1, 3], "largest": 8, "draws": 10, "hidden": [3], "examples": 40},
    "batch_cost": {"hidden": [4], "largest": 8, "repetitions": 1, "device": "cpu"},
    "first_and_second_order": {"dimension": 2, "largest": 64, "draws": 5},
    "local_moves": {"starts": 6, "steps": 10},
}
"""Fields with which a demonstration takes at most a second; others run with their defaults."""
each = pytest.mark.parametrize(
    "demonstration", demonstrations.demonstrations(), ids=lambda demonstration: demonstration.name
)


def small(demonstration: type[Demonstration], **values: Any) -> Demonstration:
    return demonstrations.build(demonstration.name, {**SMALL.get(demonstration.name, {}), **values})


class Counting(Progress):
    """Stops a run after a number of checks."""

    def __init__(self, limit: float = float("inf")) -> None:
        self.limit, self.checks, self.reported = limit, 0, [0.0]

    def should_continue(self) -> bool:
        self.checks += 1
        return self.checks <= self.limit

    def report(self, done: float) -> None:
        self.reported.append(done)


def same(first: DemonstrationResult, second: DemonstrationResult) -> bool:
    """Return whether all numbers are equal."""
    return np.array_equal(
        np.array(first.table.rows, dtype=object).astype(str),
        np.array(second.table.rows, dtype=object).astype(str),
    )


@each
def test_that_a_demonstration_describes_itself(demonstration: type[Demonstration]) -> None:
    described = page(demonstration)
    assert sentence(demonstration).endswith(".") and demonstration.__doc__ != Demonstration.__doc__
    assert (
        demonstration.label
        and demonstration.row
        and demonstration.source.endswith(".")
        and demonstration.note.endswith(".")
    )
    assert all(symbol and meaning for symbol, meaning in described.symbols)
    assert demonstration.kind == "demonstration" and demonstration() == demonstrations.build(
        demonstration.name, demonstration().values()
    )
    for field in demonstration.fields():
        assert field.label[:1].isupper() and field.help.endswith(".")
        assert field.kind != "choice" or field.default in field.choices
        if field.slider is not None:
            low = field.ge if field.ge is not None else field.gt
            assert (low is None or field.slider[0] >= low) and (
                field.le is None or field.slider[1] <= field.le
            )


@each
def test_that_the_rule_of_a_demonstration_can_be_typeset(
    demonstration: type[Demonstration],
) -> None:
    import ziamath

    from optlab.core.plain_math import plain

    for line in demonstration.rule:
        assert "<svg" in ziamath.Latex(line).svg()
        assert "\\" not in plain(line)


@each
def test_that_a_demonstration_is_alone_in_a_file_of_its_name(
    demonstration: type[Demonstration],
) -> None:
    module = importlib.import_module(demonstration.__module__)
    mine = [
        v
        for v in vars(module).values()
        if inspect.isclass(v) and issubclass(v, Demonstration) and v.__module__ == module.__name__
    ]
    assert (
        mine == [demonstration]
        and demonstration.__module__ == f"optlab.studies.demonstrations.{demonstration.name}"
    )


def test_that_a_demonstration_imports_no_other() -> None:
    modules = set(walk.modules(demonstrations.__name__))
    assert {
        demonstration.__module__ for demonstration in demonstrations.demonstrations()
    } == modules
    for demonstration in demonstrations.demonstrations():
        for node in ast.walk(
            ast.parse(Path(inspect.getfile(demonstration)).read_text(encoding="utf-8"))
        ):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in modules - {demonstration.__module__}


@each
def test_that_what_a_demonstration_yields_is_complete_and_ends_with_everything_done(
    demonstration: type[Demonstration],
) -> None:
    progress = Counting()
    found = list(small(demonstration).run(progress))
    assert progress.checks > 0 and all(0.0 <= done <= 1.0 + 1e-9 for done in progress.reported)
    shares = [one.done for one in found]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    for one in found:
        assert one.sentence.endswith(".") and one.table.rows and one.plots
        assert all(len(row) == len(one.table.columns) for row in one.table.rows)
        assert len({column.name for column in one.table.columns}) == len(one.table.columns)
        for plot in one.plots:
            assert plot.title and plot.x.label and plot.y.label and (plot.curves or plot.scatters)
            drawn = [*plot.curves, *plot.scatters]
            assert len({item.name for item in drawn}) == len(drawn)
            for item in drawn:
                assert (
                    item.x.shape == item.y.shape
                    and item.x.ndim == 1
                    and item.x.dtype == item.y.dtype == np.float64
                )
                assert not plot.x.log or (item.x > 0.0).all(), (
                    "zero cannot be drawn on a logarithmic axis"
                )
                assert not plot.y.log or (item.y > 0.0).all() or item.name == demonstration.label
            for curve in plot.curves:
                assert curve.error is None or (
                    curve.error.shape[-1:] == curve.x.shape and (curve.error >= 0.0).all()
                )


@each
def test_that_a_demonstration_gives_the_same_numbers_again(
    demonstration: type[Demonstration],
) -> None:
    first, second = (list(small(demonstration).run())[-1] for _ in range(2))
    if any("time" in column.name for column in first.table.columns if column.unit):
        assert [row[3:] for row in first.table.rows] == [row[3:] for row in second.table.rows]
    else:
        assert same(first, second) and first.sentence == second.sentence


@each
def test_that_another_seed_gives_other_numbers(demonstration: type[Demonstration]) -> None:
    first, second = (list(small(demonstration, seed=seed).run())[-1] for seed in (0, 1))
    assert not same(first, second)


@each
def test_that_a_demonstration_ends_when_it_is_stopped(demonstration: type[Demonstration]) -> None:
    full = Counting()
    results = len(list(small(demonstration).run(full)))
    for limit in {0, full.checks // 2}:
        progress = Counting(limit)
        found = list(small(demonstration).run(progress))
        assert progress.checks == limit + 1 or full.checks == limit, (
            "it checks once more, is stopped, and does not check again"
        )
        assert len(found) <= results


def test_that_an_unknown_demonstration_and_a_wrong_value_are_refused() -> None:
    with pytest.raises(InvalidInput, match="did you mean symmetry"):
        demonstrations.get("symetry")
    with pytest.raises(
        InvalidInput, match=r"symmetry\.steps is -1, but it must be a whole number at least 0"
    ):
        demonstrations.build("symmetry", {"steps": -1})


def test_that_demonstrations_are_listed_without_torch_scikit_learn_and_qt() -> None:
    program = (
        "import sys\n"
        "from optlab.studies import demonstrations; from optlab.experiment import pages\n"
        "assert [pages.page(one) for one in demonstrations.demonstrations()]\n"
        "loaded = {'torch', 'sklearn', 'scipy', 'PySide6', 'pyqtgraph'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_that_a_file_dropped_into_the_folder_is_a_demonstration(tmp_path: Path) -> None:
    (tmp_path / "coin.py").write_text(
        '"""A coin."""\n\nfrom typing import ClassVar\n\nfrom optlab.studies.demonstrations.base '
        "import Demonstration\n\n\n"
        'class Coin(Demonstration):\n    """A coin is tossed."""\n\n    name: ClassVar[str] = '
        '"coin"\n    label: ClassVar[str] = "Coin"\n\n'
        "    def run(self, progress=None):\n        yield from ()\n",
        encoding="utf-8",
    )
    demonstrations.__path__.append(str(tmp_path))
    registry.rescan()
    try:
        assert (
            demonstrations.get("coin").label == "Coin"
            and "optlab.studies.demonstrations.coin" in registry.modules()
        )
    finally:
        demonstrations.__path__.remove(str(tmp_path))
        sys.modules.pop("optlab.studies.demonstrations.coin", None)
        registry.rescan()
    assert "coin" not in demonstrations.names()
