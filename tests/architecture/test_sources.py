"""Rules for the source code that can be checked by parsing it."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import optlab
from optlab.core import registry
from optlab.core.component import Component

ROOT = Path(optlab.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TESTS = sorted(Path(__file__).parents[1].rglob("*.py"))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT.parent)}:{getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_that_a_file_is_short_and_says_what_it_is_about(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500, "split by concept"
    assert ast.get_docstring(ast.parse(text)), "a module docstring states the idea"


def test_that_no_engine_or_surface_branches_on_a_components_name() -> None:
    """Capabilities are declared on components; ``x.name == "momentum"`` or ``isinstance(x,
    Momentum)`` would be a second list of them.
    """
    components = [c for kind in registry.kinds() for c in registry.components(kind)]
    names, classes = {c.name for c in components}, {c.__name__ for c in components}
    wrong = []
    for path in FILES:
        if path.relative_to(ROOT).parts[0] == "catalogue":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                about_name = any(
                    isinstance(side, ast.Attribute) and side.attr in ("name", "kind_name")
                    for side in sides
                )
                texts = {
                    c.value
                    for side in sides
                    for c in ast.walk(side)
                    if isinstance(c, ast.Constant) and isinstance(c.value, str)
                }
                if about_name and texts & names:
                    wrong.append(place(path, node))
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("isinstance", "issubclass")
            ):
                named = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
                if named & classes:
                    wrong.append(place(path, node))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", registry.modules())
def test_that_a_catalogue_file_holds_one_component_of_its_name_or_a_table(module: str) -> None:
    tree = ast.parse(
        (ROOT.parent / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")
    )
    names = [
        statement.value.value
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and statement.target.id == "name"
        and isinstance(statement.value, ast.Constant)
    ]
    package, name = module.rsplit(".", 1)
    if getattr(importlib.import_module(package), "TABLE", False):
        assert names and len(set(names)) == len(names)
    else:
        assert names == [name]


def test_that_no_class_is_called_manager_helper_or_handler() -> None:
    wrong = [
        place(path, node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and node.name.endswith(("Manager", "Helper", "Handler", "Util", "Utils"))
    ]
    assert not wrong, "\n".join(wrong)


def test_that_nothing_is_evaluated_unpickled_or_swallowed() -> None:
    wrong = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in (
                    "eval",
                    "exec",
                    "compile",
                    "torch.load",
                    "_torch.load",
                    "pickle.load",
                    "pickle.loads",
                    "yaml.load",
                ):
                    wrong.append(f"{place(path, node)} calls {called}")
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or all(isinstance(s, ast.Pass) for s in node.body)
            ):
                wrong.append(f"{place(path, node)} swallows an error")
    assert not wrong, "\n".join(wrong)


def test_that_names_of_test_files_are_unique() -> None:
    names = [path.name for path in TESTS if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


MARKS = frozenset(
    {
        *("expects_log", "filterwarnings", "foreign", "leaves_window", "parametrize"),
        *("qt_log_ignore", "slow", "soak", "timeout", "usefixtures"),
    }
)
"""Marks that a test may have: with these it runs, and counts, wherever it is chosen."""
OF_PYTEST = frozenset(
    {
        *("CaptureFixture", "Config", "FixtureRequest", "Item", "MonkeyPatch", "Parser"),
        *("Pytester", "Session", "StashKey", "TempPathFactory", "approx", "exit", "fail"),
        *("fixture", "hookimpl", "mark", "param", "raises", "warns"),
    }
)
"""What tests may use of pytest itself."""


def test_that_tests_use_of_pytest_only_what_lets_them_run_and_count() -> None:
    wrong = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "pytest":
                wrong.append(f"{place(path, node)} imports names of pytest")
            if not isinstance(node, ast.Attribute):
                continue
            owner, _, name = ast.unparse(node).rpartition(".")
            allowed = {"pytest": OF_PYTEST, "pytest.mark": MARKS}.get(owner)
            if allowed is not None and name not in allowed:
                wrong.append(f"{place(path, node)} uses {owner}.{name}")
    assert not wrong, "\n".join(wrong)


def test_that_every_component_is_reached_by_the_walk() -> None:
    """Compare with the files, so that a class without a name is noticed."""
    found = {c.__module__ for kind in registry.kinds() for c in registry.components(kind)}
    # private packages whose components are no files
    generating = {module for module in found if "._" in module}
    assert found - generating == set(registry.modules())
    assert all(module.split(".")[2] in registry.plurals().values() for module in generating)
    assert all(
        issubclass(c, Component) for kind in registry.kinds() for c in registry.components(kind)
    )
