"""Schedules, clipping, averaging, stopping and orders of a run, as functions of a script."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.batches.base import Batches
from optlab.core.component import Component
from optlab.core.errors import InvalidInput
from optlab.core.piecewise import Piecewise
from optlab.scripts import pieces
from optlab.scripts.code_fields import Fields
from optlab.scripts.source_text import text
from optlab.scripts.specialize import Specializer


def values_of(component: Component, changing: Mapping[str, str] | None = None) -> Fields:
    """Return what stands for the fields of a component: their values, or names of variables.

    Args:
        component: with its fields. changing: field → name of the variable that holds it.
    """
    names = dict(changing or {})
    constants = {
        field.name: getattr(component, field.name)
        for field in component.fields()
        if field.name not in names
    }
    return Fields(constants, names, component)


def method(component: Component, name: str, called: str = "", to: Specializer | None = None) -> str:
    """Return a method of a component as a function without it, after the functions that it calls.

    Args:
        component: with its fields. name: of the method. called: name of the new function. to: that
            of the script.
    """
    to = to or Specializer()
    node = to.function(getattr(type(component), name), {"self": values_of(component)}, called)
    return _joined(to, node)


def _joined(to: Specializer, node: ast.FunctionDef) -> str:
    return "\n\n\n".join([*filter(None, [to.written()]), text(node)])


# --- numbers that follow a schedule ---------------------------------------------------------------


def following(
    name: str, function: Piecewise, base: float, steps: int, arrays: dict[str, NDArray[Any]]
) -> str:
    """Return the source of a number as a function of the step.

    Args:
        name: of the function. base: the field's own value. steps: of the run. arrays: gets the
            values ``[steps]`` where there are too many pieces to write.
    """
    source = pieces.written(name, function, base, steps)
    if source is None:
        arrays[name] = np.array([function.at(step, base) for step in range(steps)])
        return f"def {name}(step):\n    return float(data['{name}'][step])"
    return source


def clip(component: Component, names: Mapping[str, str], to: Specializer) -> str:
    """Return the clipping rule as ``clip(g, norm, …)`` of all gradients in one vector."""
    spaces = {"self": values_of(component), "h": values_of(component, names)}
    node = to.function(type(component).clip, spaces)  # type: ignore[attr-defined]
    node.args.args += [ast.arg(spaces["h"].names[one]) for one in spaces["h"].used]
    return _joined(to, _OneRun().visit(node))


class _OneRun(ast.NodeTransformer):
    """The norm of one run is a number, not a column."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node) == "norm.unsqueeze(1)":
            return ast.Name("norm", ast.Load())
        return self.generic_visit(node)


def averaged(component: Component, names: Mapping[str, str], to: Specializer) -> str:
    """Return the rule of an average as ``averaged(average, theta, step, …)`` of one tensor.

    Raises:
        InvalidInput: its state is more than the average.
    """
    space = values_of(component, {**names, "step": "step"})
    node = to.function(type(component).update, {"h": space}, "averaged")  # type: ignore[attr-defined]
    node.args.args += [ast.arg(one) for one in ("step", *names.values())]
    returned = node.body[-1]
    if not (isinstance(returned, ast.Return) and isinstance(returned.value, ast.Dict)):
        raise InvalidInput(
            f"averaging.name is '{component.name}', which cannot be written as a script.",
            "averaging.name",
        )
    (returned.value,) = returned.value.values
    return _joined(to, _Average().visit(node))


class _Average(ast.NodeTransformer):
    """The state of an average is one tensor, the average."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node) == "state['average']":
            return ast.Name("average", ast.Load())
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg("average") if node.arg == "state" else node


# --- the order of examples ------------------------------------------------------------------------


def epoch_order(order: Batches, to: Specializer) -> tuple[str, bool, bool]:
    """Return the source of ``epoch_order(epoch)``, and whether it needs two things.

    They are ``by_target``, the examples sorted by target, and ``difficulty``, that of each.
    """
    space = values_of(order)
    node = to.function(type(order).epoch_order, {"self": space})
    rewriter = _Order()
    # What rates the difficulty of examples is computed once, by the export.
    sources = [text(rewriter.visit(one)) for one in to.fresh()]
    source = "\n\n\n".join([*sources, text(rewriter.visit(node))])
    return source, "by_target" in source, "difficulty" in source


class _Order(ast.NodeTransformer):
    """Examples and generators are variables of the script."""

    _left_out = ("examples", "generators")

    def visit_Call(self, node: ast.Call) -> ast.AST:
        written = ast.unparse(node)
        if written == "len(examples)":
            return ast.Name("N", ast.Load())
        if written in ("examples.by_target()", "difficulty(examples)"):
            return ast.Name(written.removeprefix("examples.").partition("(")[0], ast.Load())
        if isinstance(node.func, ast.Name) and node.func.id == "generators":
            return ast.Call(ast.Name("generator", ast.Load()), node.args, [])
        node.args = [one for one in node.args if ast.unparse(one) not in self._left_out]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.args.args = [one for one in node.args.args if one.arg not in self._left_out]
        return self.generic_visit(node)


def lines(*parts: str | Sequence[str]) -> list[str]:
    """Return lines of texts and lists of lines, in order."""
    return [
        line
        for part in parts
        for one in ([part] if isinstance(part, str) else part)
        for line in one.split("\n")
    ]
