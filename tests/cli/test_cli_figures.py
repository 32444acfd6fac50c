"""``optlab figures``: files, what is reported about them, and refusals."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from optlab.cli.app import main
from optlab.core.palette import DARK, LIGHT, PlotColors
from optlab.studies.figures.catalogue import chosen
from optlab.studies.figures.page import DPI


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def rgb(color: str) -> list[int]:
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]


@pytest.mark.parametrize(
    ("theme", "colors", "only"), [("light", LIGHT, ""), ("dark", DARK, "4.2,4.5")]
)
def test_that_every_figure_is_drawn_in_its_size_on_its_ground_and_with_room_around(
    theme: str,
    colors: PlotColors,
    only: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Fewer steps of the one run that takes seconds: what it computes is tested elsewhere, here it
    # is drawn.
    monkeypatch.setattr("optlab.studies.figures.notes.gradient_norm.STEPS", 300)
    assert (
        main(
            [
                "figures",
                "--to",
                str(tmp_path / "new" / "folder"),
                "--theme",
                theme,
                "--only",
                only,
                "--json",
            ]
        )
        == 0
    )
    reported = json.loads(capsys.readouterr().out)
    wanted = chosen(only.split(",") if only else [])
    assert reported["theme"] == theme and [one["number"] for one in reported["figures"]] == [
        figure.number for figure in wanted
    ]
    background = rgb(colors.background)
    for figure, one in zip(wanted, reported["figures"], strict=True):
        image = pixels(Path(one["file"]))
        assert image.shape[:2] == (round(figure.size[1] * DPI), round(figure.size[0] * DPI))
        inked = (np.abs(image - background) > 12).any(axis=2)
        # Nothing is cut off at an edge, and neither the title's, the panels' nor the caption's part
        # of the page is empty.
        edges = (inked[:6], inked[-6:], inked[:, :6], inked[:, -6:])
        assert not any(edge.any() for edge in edges), f"{figure.number} touches an edge"
        height = image.shape[0]
        assert (
            inked[: int(0.62 * DPI)].any()
            and inked[height // 4 : height * 3 // 4].mean() > 0.02
            and inked[-int(0.8 * DPI) :].any()
        )
        assert one["title"] and one["caption"] and one["numbers"] and one["data"]


def test_that_numbers_are_printed_and_an_svg_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["figures", "--to", str(tmp_path), "--only", "4.1, 8.5", "--format", "svg"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert (
        "Figure 4.1: Following the derivative downhill" in output.out
        and "condition number" in output.out
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "figure-4.1-light.svg",
        "figure-8.5-light.svg",
    ]
    root = ElementTree.parse(tmp_path / "figure-8.5-light.svg").getroot()
    assert root.tag.endswith("svg") and root.get("width") == "648pt"


def test_that_the_same_numbers_give_the_same_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert (
            main(["figures", "--to", str(tmp_path / folder), "--only", "4.1", "--format", "svg"])
            == 0
        )
    one, two = ((tmp_path / folder / "figure-4.1-light.svg").read_bytes() for folder in ("a", "b"))
    assert one == two


def test_that_a_file_is_replaced_only_when_asked_and_before_that_nothing_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "figure-4.2-light.png"
    there.write_bytes(b"mine")
    assert main(["figures", "--to", str(tmp_path), "--only", "4.1,4.2"]) == 2
    assert "--force" in capsys.readouterr().err
    assert there.read_bytes() == b"mine" and [path.name for path in tmp_path.iterdir()] == [
        there.name
    ]
    assert main(["figures", "--to", str(tmp_path), "--only", "4.2", "--force"]) == 0
    assert there.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--only", "8.2"], "8.1"), (["--theme", "blue"], "dark"), (["--format", "pdf"], "svg")],
)
def test_that_what_there_is_not_is_refused_with_what_there_is(
    arguments: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["figures", "--to", str(tmp_path / "out"), *arguments]) == 2
    assert word in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_that_a_file_in_the_place_of_the_folder_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_bytes(b"")
    assert main(["figures", "--to", str(tmp_path / "taken"), "--only", "4.1"]) == 2
    assert "--to" in capsys.readouterr().err


def test_that_without_matplotlib_a_sentence_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["figures", "--to", str(tmp_path / "out")]) == 2
    assert "pip install 'matplotlib" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_that_figures_are_drawn_without_qt_and_pyplot_and_other_commands_do_without_matplotlib(
    tmp_path: Path,
) -> None:
    program = (
        "import importlib.abc, sys\n"
        "class Block(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('PySide6', 'shiboken6', 'pyqtgraph') or name == "
        "'matplotlib.pyplot':\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from optlab.cli.app import main\n"
        "assert main(['list', 'surfaces']) == 0 and 'matplotlib' not in sys.modules\n"
        f"assert main(['figures', '--to', {str(tmp_path)!r}, '--only', '4.1']) == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figure-4.1-light.png").stat().st_size > 20_000
