"""Public docstrings say what a caller cannot see in the signature: shapes of arrays, and errors.

Those of functions begin with a verb, as in "Return the rates".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import optlab

ROOT = Path(optlab.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

ARRAYS = re.compile(r"\b(Tensor|NDArray|ndarray|Array|Floats)\b")
SHAPE = re.compile(r"\[[^\[\]]*\]|\bscalar|\bany shape|\bshape|\bsame shape|\belementwise")

NOUN_PHRASE = re.compile(r"(?:A|An|The|All|What|Whether|Where|How|Which)\b|``")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Function, str]]:
    """Yield name, definition and docstring of public functions and methods.

    A method without a docstring overrides one that is documented where it is declared; a
    constructor is documented by its class.
    """
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node.name, node, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            described = ast.get_docstring(node) or ""
            for part in node.body:
                if not isinstance(part, Function):
                    continue
                if part.name == "__init__":
                    yield f"{node.name}.__init__", part, described
                elif not part.name.startswith("_") and ast.get_docstring(part):
                    yield f"{node.name}.{part.name}", part, ast.get_docstring(part) or ""


def own_statements(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of functions defined in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def raised(function: Function) -> set[str]:
    """Return the names of the exception classes that a function raises itself and lets out."""
    names = set()
    for node in own_statements(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = ast.unparse(node.exc.func).split(".")[-1]
            if name[:1].isupper():
                names.add(name)
    caught = {
        ast.unparse(name).split(".")[-1]
        for node in own_statements(function)
        if isinstance(node, ast.ExceptHandler) and node.type is not None
        for name in (node.type.elts if isinstance(node.type, ast.Tuple) else [node.type])
    }
    return names - caught


def annotations(function: Function) -> str:
    """Return the annotations of a function's arguments and result as one text."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    parts = [a.annotation for a in arguments if a.annotation is not None]
    parts += [function.returns] if function.returns is not None else []
    return " ".join(ast.unparse(part) for part in parts)


def place(path: Path, function: Function, name: str) -> str:
    return f"{path.relative_to(ROOT.parent)}:{function.lineno} {name}"


def test_that_public_functions_on_arrays_state_their_shapes() -> None:
    wrong = [
        place(path, function, name)
        for path in FILES
        for name, function, text in public_functions(ast.parse(path.read_text(encoding="utf-8")))
        if ARRAYS.search(annotations(function)) and not SHAPE.search(text)
    ]
    assert not wrong, f"{len(wrong)} without shapes:\n" + "\n".join(wrong)


def test_that_public_functions_name_the_errors_that_they_raise() -> None:
    wrong = [
        f"{place(path, function, name)}: {', '.join(sorted(missing))}"
        for path in FILES
        for name, function, text in public_functions(ast.parse(path.read_text(encoding="utf-8")))
        if (missing := {error for error in raised(function) if error not in text})
    ]
    assert not wrong, f"{len(wrong)} do not name an error:\n" + "\n".join(wrong)


def result_is_noun_phrase(function: Function, text: str) -> bool:
    """Return whether a docstring names the result in place of saying "Return …".

    That of a property does.
    """
    nothing = function.returns is None or ast.unparse(function.returns) == "None"
    described = any("property" in ast.unparse(entry) for entry in function.decorator_list)
    return not nothing and not described and NOUN_PHRASE.match(text) is not None


def test_that_docstrings_of_functions_begin_with_a_verb() -> None:
    wrong = [
        f"{place(path, function, name)}: {text[:40]}"
        for path in FILES
        for name, function, text in public_functions(ast.parse(path.read_text(encoding="utf-8")))
        if result_is_noun_phrase(function, text)
    ]
    assert not wrong, f"{len(wrong)} name the result:\n" + "\n".join(wrong)


def test_that_the_checks_notice_what_they_are_for() -> None:
    source = '''
def scaled(theta: torch.Tensor) -> torch.Tensor:
    """Return the parameters, scaled."""
    if theta is None:
        raise InvalidInput("none")
    return theta
'''
    ((name, function, text),) = public_functions(ast.parse(source))
    assert result_is_noun_phrase(function, "The parameters, scaled.")
    assert not result_is_noun_phrase(function, text)
    assert name == "scaled" and raised(function) == {"InvalidInput"}
    assert ARRAYS.search(annotations(function)) and not SHAPE.search(text)
