"""A foreign optimizer as scripts have it: the line that imports its class, and how it is stepped.

What a script has to do is found on an optimizer that is made and has taken its trial steps: which of
its settings can be changed, which it changes itself, and from what it draws.
"""

from __future__ import annotations

import ast
import random
import re
import sys
import types
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from optlab.catalogue.optimizers._bridge.calls import has_modes
from optlab.catalogue.optimizers._bridge.foreign import ForeignPopulation
from optlab.catalogue.optimizers._bridge.foreign_rules import INNER, ForeignRule, matrix_groups
from optlab.catalogue.optimizers._bridge.signatures import FIRST
from optlab.catalogue.optimizers._imported import ImportedRule
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.outside.own_models.copies import import_line, literal

_DRAWING = re.compile(
    rb"rand|normal|uniform|bernoulli|multinomial|poisson|exponential_|cauchy_|geometric_|dropout"
    rb"|shuffle|choice|sample|Generator|nn\.init"
)
"""Words of code that may draw random numbers."""
_KNOWN = {*sys.stdlib_module_names, "torch", "numpy"}
"""Modules in whose use such a word occurs."""
_TAKEN = {"F", "Net", "Path"}
"""Names that a script gives to something else."""
_DEPTH = 6
_WITHOUT = (type, types.FunctionType, types.MethodType, types.ModuleType)
"""What is not looked through for random generators."""


class Importing:
    """Finds out how a script imports and steps an optimizer.

    Args:
        rule: with its fields. layout: of the parameters. precision: of these.
        beside: the files that lie beside the script already, path → content.

    Raises:
        InvalidInput: it cannot be made or stepped, or its files cannot be read.
    """

    def __init__(
        self, rule: ForeignRule, layout: Layout, precision: str, beside: Mapping[str, bytes]
    ) -> None:
        self._rule, self._layout = rule, layout
        self._module, self._files = rule.origin(beside)
        generator = torch.Generator().manual_seed(0)
        theta = 0.1 * torch.randn(1, layout.total, generator=generator, dtype=torch.float64)
        theta = theta.to(getattr(torch, precision))
        h = Hyperparameters(**rule.values(), step=1, layout=layout, seeds=[0])
        self._values = rule.rows(theta, h)[0]
        population = rule.make_population(layout, theta, h, [self._values])
        assert isinstance(population, ForeignPopulation)
        self._population = population
        self._optimizer, self._kept = population.first

    def rule(self, changing: Collection[str]) -> ImportedRule:
        """Return what scripts need to know.

        Args:
            changing: fields that follow a schedule.

        Raises:
            InvalidInput: a script cannot repeat its steps.
        """
        cls = self._rule.signature.cls
        name = f"Own{cls}" if cls in _TAKEN else cls
        assigned = self._assigned(changing)
        arguments = self._rule.arguments(self._values)
        groups = self._optimizer.param_groups
        before, creation = self._creation(name)
        generators = tuple(self._seeding())
        return ImportedRule(
            import_line(self._module, cls, name),
            creation,
            before,
            assigned,
            {key: literal(arguments[key]) for key in assigned},
            self._population.rewritten & set(assigned),
            frozenset(key for key in assigned if not all(key in group for group in groups)),
            self._files,
            "" if self._files else self._module.partition(".")[0],
            closure=self._rule.closure,
            modes=has_modes(self._optimizer),
            draws=bool(generators) or self._may_draw(),
            generators=generators,
        )

    def _refused(self, why: str) -> InvalidInput:
        return InvalidInput(
            f"optimizer.name is '{self._rule.name}', {why}, so that it cannot be written as a script.",
            "optimizer.name",
        )

    # --- making it --------------------------------------------------------------------------------

    def _creation(self, name: str) -> tuple[tuple[str, ...], str]:
        """Return the statements before the optimizer is made, and the expression that makes it."""
        rule, values = self._rule, self._values
        given = {key: literal(value) for key, value in rule.arguments(values).items()}
        wraps = rule.signature.wraps
        first, before = "parameters", list[str]()
        if wraps:
            inner, more = INNER[values["inner"]]
            its = {key: literal(value) for key, value in more.items()}
            if wraps == FIRST:
                if "lr" not in {argument.name for argument in rule.signature.arguments}:
                    del given["lr"]
                its = {"lr": literal(values["lr"]), **its}
                first = f"torch.optim.{inner}({_listed('parameters', its)})"
            else:
                given = {wraps: f"torch.optim.{inner}", **given, **its}
        elif self._takes_groups():
            first, before = "groups", list(self._grouped())
        return tuple(before), f"{name}({_listed(first, given)})"

    def _takes_groups(self) -> bool:
        """Return whether it is made of groups of matrices and of other parameters."""
        tensors = [torch.nn.Parameter(torch.zeros(one.shape)) for one in self._layout.parameters]
        try:
            self._rule.optimizer_class()(tensors, **self._rule.arguments(self._values))
        except Exception:  # noqa: BLE001 - foreign code may raise anything
            return True
        return False

    def _grouped(self) -> Iterator[str]:
        tensors = [(spec, torch.zeros(spec.shape)) for spec in self._layout.parameters]
        names = {id(tensor): spec.name for spec, tensor in tensors}
        yield "named = dict(model.named_parameters())"
        yield "groups = ["
        for group in matrix_groups(tensors):
            listed = ", ".join(repr(names[id(tensor)]) for tensor in group["params"])
            params = f"[named[name] for name in ({listed},)]"
            yield f"    {{'params': {params}, 'use_muon': {group['use_muon']}}},"
        yield "]"

    # --- changing its settings --------------------------------------------------------------------

    def _assigned(self, changing: Collection[str]) -> dict[str, str]:
        """Return the keys of the groups that change → their values, in terms of the fields."""
        rule, found = self._rule, {}
        for binding in rule.bindings:
            if set(binding.fields) & set(changing):
                parts = {
                    name: name if name in changing else literal(self._values[name])
                    for name in binding.fields
                }
                found[binding.argument] = binding.expression(parts)
        if "lr" in changing and "lr" in rule.arguments(self._values):
            found.setdefault("lr", "lr")
        for key in found:
            if not any(key in group for group in self._optimizer.param_groups):
                raise self._refused(
                    f"which keeps '{key}' elsewhere than in its parameter groups, where a schedule "
                    "does not reach it while it is stepped"
                )
        return found

    # --- what it draws ----------------------------------------------------------------------------

    def _may_draw(self) -> bool:
        """Return whether its code contains anything that may draw random numbers."""
        if not self._files:
            return True
        local = {PurePosixPath(path).parts[0].removesuffix(".py") for path in self._files}
        known = _KNOWN | local
        return any(
            _DRAWING.search(content) or not _imported(content) <= known
            for content in self._files.values()
        )

    def _seeding(self) -> Iterator[str]:
        """Yield the statements that seed the generators that it keeps."""
        found = dict(_generators(self._optimizer, "optimizer", set())) if self._kept else {}
        if {id(one) for one in self._kept} - {id(one) for one in found.values()}:
            raise self._refused("which keeps a random generator where a script does not find it")
        for where, generator in found.items():
            if isinstance(generator, torch.Generator):
                yield f"{where}.manual_seed(seed)"
            elif isinstance(generator, np.random.Generator):
                bits = f"{where}.bit_generator"
                yield f"{bits}.state = type({bits})(seed).state"
            else:
                yield f"{where}.seed(seed)"


def _listed(first: str, given: Mapping[str, str]) -> str:
    return ", ".join([first, *(f"{key}={value}" for key, value in given.items())])


def _imported(content: bytes) -> set[str]:
    """Return the first parts of the names of the modules that a file imports from elsewhere."""
    found = set()
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _generators(
    holder: Any, where: str, seen: set[int], depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Yield an expression of each random generator below an object, and the generator.

    Args:
        seen: ``id`` of what was looked through already.
    """
    if id(holder) in seen or depth > _DEPTH or isinstance(holder, _WITHOUT):
        return
    seen.add(id(holder))
    parts: Mapping[str, Any] = {}
    if isinstance(
        holder, random.Random | torch.Generator | np.random.Generator | np.random.RandomState
    ):
        yield where, holder
    elif isinstance(holder, dict):
        named = {key: part for key, part in holder.items() if isinstance(key, str | int)}
        parts = {f"{where}[{key!r}]": part for key, part in named.items()}
    elif isinstance(holder, list | tuple):
        parts = {f"{where}[{index}]": part for index, part in enumerate(holder)}
    elif hasattr(holder, "__dict__"):
        parts = {f"{where}.{key}": part for key, part in vars(holder).items()}
    for at, part in parts.items():
        yield from _generators(part, at, seen, depth + 1)
