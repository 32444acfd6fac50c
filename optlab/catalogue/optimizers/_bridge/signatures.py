"""Arguments of the constructor of an optimizer, read from the class or from its source.

Reading the source does not import it. Only values that a file can hold are kept as defaults:
numbers, booleans, strings, None and tuples of these.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from typing import Any

NO_DEFAULT = "<no default>"
"""Marks a required argument."""
OPAQUE = "<opaque>"
"""Marks a default that a field cannot have."""
FIRST = "<first>"
"""Marks an optimizer that is made of another one alone."""
_WRAPPED = ("optimizer", "base_optimizer", "inner_optimizer", "opt")
_MODEL = ("model", "module", "net")


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor.

    Attributes:
        name: its name.
        default: its default, :data:`NO_DEFAULT` or :data:`OPAQUE`.
        annotation: its annotation as text, or "".
    """

    name: str
    default: Any
    annotation: str = ""


@dataclass(frozen=True)
class Signature:
    """The constructor of an optimizer.

    Attributes:
        module: module of the class.
        cls: name of the class.
        arguments: arguments after the parameters, in order.
        wraps: the argument that is another optimizer, made before it; "" where there is none, and
            :data:`FIRST` where it stands in place of the parameters.
        open: whether it takes further arguments by name.
    """

    module: str
    cls: str
    arguments: tuple[Argument, ...]
    wraps: str = ""
    open: bool = False


def read(cls: type) -> Signature:
    """Return the signature of a class.

    Raises:
        ValueError: its signature cannot be read, or it takes a model instead of parameters.
        TypeError: it is not callable.
    """
    first, *parameters = inspect.signature(cls).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p.name for p in named if p.default is p.empty]
    if first.name in _MODEL or set(required) & set(_MODEL):
        raise ValueError("it takes a model, but an optimizer of a run gets parameters alone")
    wraps = FIRST if first.name in _WRAPPED else ""
    for name in required:
        if not wraps and name in _WRAPPED:
            wraps = name
    arguments = [
        Argument(
            p.name,
            NO_DEFAULT if p.default is p.empty else plain(p.default),
            _annotation(p.annotation),
        )
        for p in named
        if p.name != wraps
    ]
    more = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return Signature(cls.__module__, cls.__name__, tuple(arguments), wraps, more)


def read_source(text: str, module: str, cls: str) -> Signature | None:
    """Return the signature of class ``cls`` from the source of its module.

    Return None if the class or its constructor is not in the source, or takes ``*args`` or
    ``**kwargs``.
    """
    tree = ast.parse(text)
    definition = next(
        (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls), None
    )
    if definition is None:
        return None
    init = next(
        (
            node
            for node in definition.body
            if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        ),
        None,
    )
    if init is None or init.args.kwarg is not None or init.args.vararg is not None:
        return None
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    positional = [*init.args.posonlyargs, *init.args.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(init.args.defaults))
    pairs = [
        *zip(positional, [*missing, *init.args.defaults], strict=True),
        *zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True),
    ]
    arguments = [
        Argument(
            argument.arg,
            NO_DEFAULT if default is None else _literal(default, constants),
            ast.unparse(argument.annotation) if argument.annotation is not None else "",
        )
        for argument, default in pairs[2:]  # after self and the parameters
    ]
    return Signature(module, cls, tuple(arguments))


def plain(value: Any) -> Any:
    """Return ``value`` if a file can hold it, else :data:`OPAQUE`."""
    if isinstance(value, list | tuple):
        items = tuple(plain(item) for item in value)
        return OPAQUE if OPAQUE in items else items
    return value if value is None or type(value) in (bool, int, float, str) else OPAQUE


def _literal(node: ast.expr, constants: dict[str, ast.expr]) -> Any:
    if isinstance(node, ast.Name):
        return _literal(constants[node.id], {}) if node.id in constants else OPAQUE
    if isinstance(node, ast.Tuple):
        items = tuple(_literal(item, constants) for item in node.elts)
        return OPAQUE if OPAQUE in items else items
    try:
        return plain(ast.literal_eval(node))
    except ValueError:
        return OPAQUE


def _annotation(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return (
        annotation
        if isinstance(annotation, str)
        else annotation.__name__
        if isinstance(annotation, type)
        else str(annotation)
    )
