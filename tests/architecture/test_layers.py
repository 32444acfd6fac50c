"""Which module may import which: an ``ast`` walk over every source file, including what stands
under ``TYPE_CHECKING`` or in a function.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import optlab
from optlab.core import registry

ROOT = Path(optlab.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

PAGE = ROOT.parent / "ARCHITECTURE.md"


def packages_of_the_page() -> list[str]:
    """Return the packages of the table below "The tree" in ARCHITECTURE.md, lowest first."""
    section = PAGE.read_text(encoding="utf-8").split("## The tree")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


FLOORS = ["", *packages_of_the_page(), "__main__"]
"""Low to high: a part of ``optlab`` ("" is its ``__init__``) imports itself and what is before it.
"""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The part of ``optlab`` that a module belongs to: its first name below."""
    return [*module.split("."), ""][1]


@functools.cache
def modules() -> frozenset[str]:
    return frozenset(module_name(path) for path in FILES)


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every dotted name that is imported, modules of ``optlab`` by their full name, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in modules() else base, node.lineno


@functools.cache
def source(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def floor(part: str) -> int:
    return FLOORS.index(part)


def everywhere() -> Iterator[tuple[Path, str, str, int]]:
    """File, its part, imported name, line."""
    for path in FILES:
        for name, line in imported(source(path)):
            yield path, part_of(module_name(path)), name, line


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT.parent)}:{line}"


def test_that_the_page_and_the_tree_name_the_same_packages_once_each() -> None:
    parts = {part_of(module_name(path)) for path in FILES}
    assert len(FLOORS) == len(set(FLOORS))
    assert set(FLOORS) == parts, "ARCHITECTURE.md lists every package of optlab, and no other"


def test_that_a_module_imports_its_own_package_or_one_above_it_on_the_page() -> None:
    wrong = [
        f"{place(path, line)} imports {name}"
        for path, part, name, line in everywhere()
        if name.split(".")[0] == "optlab" and floor(part_of(name)) > floor(part)
    ]
    assert not wrong, "\n".join(wrong)


def test_that_the_window_and_the_command_line_do_not_import_each_other() -> None:
    wrong = [
        f"{place(path, line)} imports {name}"
        for path, part, name, line in everywhere()
        if (part, part_of(name)) in {("cli", "gui"), ("gui", "cli")} and name.startswith("optlab.")
    ]
    assert not wrong, "\n".join(wrong)


def test_that_the_folders_of_the_catalogue_do_not_import_each_other() -> None:
    """A folder's own ``base`` and private files are fine."""

    def folder(name: str) -> str:
        parts = name.split(".")
        return parts[2] if parts[:2] == ["optlab", "catalogue"] and len(parts) > 2 else ""

    wrong = [
        f"{place(path, line)} imports {name}"
        for path, part, name, line in everywhere()
        if part == "catalogue" and folder(name) and folder(name) != folder(module_name(path))
    ]
    assert not wrong, "\n".join(wrong)


def test_that_a_component_imports_no_other_component() -> None:
    components = set(registry.modules())
    wrong = [
        f"{place(path, line)} imports {name}"
        for path, _, name, line in everywhere()
        if module_name(path) in components and name in components - {module_name(path)}
    ]
    assert not wrong, "\n".join(wrong)


def test_that_only_the_window_names_qt() -> None:
    wrong = [
        place(path, line)
        for path, part, name, line in everywhere()
        if name.split(".")[0] in ("PySide6", "shiboken6", "pyqtgraph", "superqt", "qtawesome")
        and part != "gui"
    ]
    assert not wrong, "\n".join(wrong)


def test_that_in_the_window_only_the_bridge_touches_threads_processes_and_queues() -> None:
    concurrency = {
        "threading",
        "multiprocessing",
        "queue",
        "concurrent",
        "subprocess",
        "_thread",
        "asyncio",
    }
    wrong = [
        f"{place(path, line)} imports {name}"
        for path, part, name, line in everywhere()
        if part == "gui"
        and name.split(".")[0] in concurrency
        and path != ROOT / "gui" / "bridge.py"
    ]
    qt_threads = {"QThread", "QThreadPool", "QRunnable", "QMutex", "QProcess", "QtConcurrent"}
    wrong += [
        f"{place(path, node.lineno)} names {name}"
        for path in FILES
        if part_of(module_name(path)) == "gui" and path.name != "bridge.py"
        for node in ast.walk(source(path))
        for name in [getattr(node, "attr", None) or getattr(node, "id", None)]
        if name in qt_threads
    ]
    assert not wrong, "\n".join(wrong)


def test_that_the_window_does_not_call_torch() -> None:
    wrong = [
        f"{place(path, line)} imports {name}"
        for path, part, name, line in everywhere()
        if part == "gui" and (name.split(".")[0] == "torch" or name == "optlab.core.lazy")
    ]
    assert not wrong, "\n".join(wrong)


def test_that_trainer_and_store_know_each_other_only_by_events_controls_and_snapshots() -> None:
    allowed = {
        "optlab.training",
        *(f"optlab.training.{name}" for name in ("events", "snapshot", "control")),
    }
    wrong = [
        f"{place(path, line)} imports {name}"
        for path, part, name, line in everywhere()
        if part == "store" and name.startswith("optlab.training") and name not in allowed
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", ["torch", "sklearn", "pyarrow", "distributed"])
def test_that_slow_libraries_are_imported_late(library: str) -> None:
    """At the top of a file only ``optlab.optim`` (for people's own scripts) names torch outside of
    TYPE_CHECKING.
    """
    wrong = []
    for path in FILES:
        part = part_of(module_name(path))
        for node in source(path).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                )
                if any(name.split(".")[0] == library for name in names) and not (
                    part == "optim" and library == "torch"
                ):
                    wrong.append(place(path, node.lineno))
    assert not wrong, "\n".join(wrong)
