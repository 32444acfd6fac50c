"""Break every update rule in many small ways and see whether the tests notice: ``make mutants``.

In each function of a rule's file one thing at a time is changed: a sign or an operation, a root
that is left out, a comparison turned round, a number. The tests that name the rule then have to
fail. A change that no test notices is listed as a survivor: either a test is missing, or the change
means nothing (it says which line, so that a person can tell). Works on a copy; this tree is left
alone.

    python tools/mutate_rules.py [RULE]... [--json FILE] [--own]

With ``--own`` only the tests in the rule's own file have to notice, ``test_RULE.py``, which takes a
fraction of the time. A rule without one is left to all that name it.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import scipy.optimize  # noqa: F401 - imported before children are forked, so that they start at once
import torch

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "optlab" / "catalogue" / "optimizers"
NUMERICS = ROOT / "optlab" / "numerics"
SHARED = {
    "_second_order": (
        "second_order",
        "newton",
        "saddle_free_newton",
        "natural_gradient",
        "hessian_diagonal",
    ),
    "newton": ("second_order", "newton"),
    "saddle_free_newton": ("second_order", "saddle_free_newton"),
    "natural_gradient": ("second_order", "natural_gradient"),
    "hessian_diagonal": ("second_order", "hessian_diagonal"),
    "_runs": ("conjugate_gradient", "bfgs", "lbfgs", "runs_of_closure_based_optimizers"),
    "_population": ("cma_es", "evolution_strategy"),
    "_damped_steps": ("damped_steps",),
    "_sophia": ("sophia", "sophia_g"),
    "trust_region": ("trust_region", "trust_region_newton", "levenberg_marquardt"),
    "kronecker": ("kronecker", "k_fac"),
    "scaling": ("scale_invariance",),
    "symmetric": ("symmetric", "saddle_free_newton"),
    "conjugate_gradients": ("conjugate_gradients", "newton"),
    "wolfe": ("wolfe", "bfgs", "lbfgs", "conjugate_gradient"),
    "lanczos": ("lanczos", "saddle_free_newton"),
}
"""Parts that rules share → the rules whose tests are to notice; also names of test files."""
PARTS = (
    "boltzmann",
    "conjugate_gradients",
    "gradient_test",
    "kronecker",
    "lanczos",
    "scaling",
    "symmetric",
    "trust_region",
    "wolfe",
)
"""Those of them that are among the numerics."""
SECONDS = 240
"""After which a test run counts as failed: a change may make a loop endless."""

SWAPS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
}
TURNS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}


def variants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What a node can be changed to, each with words."""
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        changed = copy.deepcopy(node)
        changed.op = SWAPS[type(node.op)]()
        yield f"{type(node.op).__name__} → {type(changed.op).__name__}", changed
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "minus left out", node.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in TURNS:
        turned = copy.deepcopy(node)
        turned.ops = [TURNS[type(node.ops[0])]()]
        yield f"{type(node.ops[0]).__name__} → {type(turned.ops[0]).__name__}", turned
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("sqrt", "rsqrt", "square", "abs", "sign")
        and not node.args
    ):
        yield f"{node.func.attr} left out", node.func.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield (
            f"{node.value} → {node.value + 0.5}",
            ast.copy_location(ast.Constant(node.value + 0.5), node),
        )


class Change(ast.NodeTransformer):
    """Puts ``new`` in the place of the node number ``wanted`` of a walk in document order."""

    def __init__(self, wanted: int, new: ast.AST) -> None:
        self.wanted, self.new, self.at = wanted, new, -1

    def visit(self, node: ast.AST) -> ast.AST:
        """See the class."""
        self.at += 1
        if self.at == self.wanted:
            return ast.copy_location(self.new, node)
        return self.generic_visit(node)


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, words and the changed source of every mutant of a file's functions."""
    tree = ast.parse(source)
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name != "refusal"
        for part in ast.walk(node)
    }
    # The declaration of a field, with its default and the bounds of its slider, is no part of a rule.
    fields = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and any(keyword.arg in ("help", "slider", "why") for keyword in node.keywords)
    )
    inside -= {id(part) for call in fields for part in ast.walk(call)}

    def numbered(node: ast.AST, counter: list[int]) -> Iterator[tuple[int, ast.AST]]:
        yield counter[0], node
        for child in ast.iter_child_nodes(node):
            counter[0] += 1
            yield from numbered(child, counter)

    for number, node in numbered(tree, [0]):
        if id(node) in inside:
            for words, new in variants(node):
                changed = Change(number, new).visit(copy.deepcopy(tree))
                yield (
                    getattr(node, "lineno", 0),
                    words,
                    ast.unparse(ast.fix_missing_locations(changed)),
                )


def tests_of(rule: str, tests: Path) -> list[str]:
    """Test files that name the rule, its own first."""
    cls = "".join(part.capitalize() for part in rule.split("_"))
    unit = tests / "unit"
    if (unit / "numerics" / f"test_{rule}.py").is_file():
        return [str(unit / "numerics" / f"test_{rule}.py")]
    folders = [unit / "catalogue" / "optimizers", unit / "optim"]
    found = [
        path
        for folder in folders
        for path in sorted(folder.glob("test_*.py"))
        if any(f"{quote}{rule}{quote}" in path.read_text() for quote in "\"'")
        or cls in path.read_text()
        or rule in path.stem
        or f"optimizers.{rule} import" in path.read_text()
    ]
    found.sort(key=lambda path: rule not in path.stem)
    return [str(path) for path in found]


def noticed(place: Path, names: Sequence[str], *, own_only: bool = False) -> bool:
    """Whether the tests of the rules of these names fail in the copy.

    A child is forked from here, where the slow libraries are imported already, so that it starts at
    once.
    """
    found = [(name, tests_of(name, place / "tests")) for name in names]
    own = [path for name, files in found for path in files if Path(path).stem == f"test_{name}"]
    if own_only and own:
        return _fails(place, own)
    folder = place / "tests" / "contracts"
    contracts = [
        str(folder / name)
        for name in ("test_optimizer_contracts.py", "test_objective_rule_contracts.py")
    ]
    return any(
        (bool(files) and _fails(place, files)) or _fails(place, [*contracts, "-k", name])
        for name, files in found
    )


def _fails(place: Path, arguments: list[str]) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(SECONDS)
            os.chdir(place)
            sys.path.insert(0, str(place))
            sys.dont_write_bytecode = True
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            code = int(
                pytest.main(
                    ["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(place), *arguments]
                )
            )
        finally:
            # Nothing of the parent's may be finished twice.
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in (0, 5)


def main() -> int:
    """Mutate the rules that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rules", nargs="*")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--own", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    files = [path for path in sorted(RULES.glob("*.py")) if path.stem not in ("__init__", "base")]
    files += [NUMERICS / f"{part}.py" for part in PARTS]
    rules = [path for path in files if not asked.rules or path.stem in asked.rules]
    survivors: list[dict[str, object]] = []
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "tree"
        shutil.copytree(
            ROOT,
            place,
            ignore=shutil.ignore_patterns(
                ".git", ".venv", "dist", "build", "__pycache__", ".*_cache", ".hypothesis"
            ),
        )
        for path in rules:
            target = place / path.relative_to(ROOT)
            source = target.read_text(encoding="utf-8")
            names = SHARED.get(path.stem, (path.stem,))
            if noticed(place, names, own_only=asked.own):
                print(
                    f"{path.stem}: its tests fail as it is, so they cannot tell; mend them first",
                    flush=True,
                )
                continue
            for line, words, changed in mutants(source):
                count += 1
                target.write_text(changed, encoding="utf-8")
                if not noticed(place, names, own_only=asked.own):
                    text = source.splitlines()[line - 1].strip()
                    survivors.append(
                        {"rule": path.stem, "line": line, "change": words, "text": text}
                    )
                    print(f"survived: {path.stem}:{line}: {words}: {text}", flush=True)
            target.write_text(source, encoding="utf-8")
            print(
                f"{path.stem}: done, {count} mutants so far, {len(survivors)} survivors", flush=True
            )
    if asked.json:
        asked.json.write_text(
            json.dumps({"mutants": count, "survivors": survivors}, indent=1), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
