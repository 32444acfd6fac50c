"""A rule as an optimizer of torch takes the steps of the catalogue's rule."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import layout, linear
from optlab.scripts.rules import WrittenRule

STEPS = 6
LAYOUT = layout(linear("layers.0", 3, 2))
RULES = [one for one in registry.components(Optimizer) if not issubclass(one, ObjectiveOptimizer)]
MUON = "torch.muon"
"""It takes two optimizers of torch."""


def variants() -> Iterator[tuple[str, Optimizer]]:
    """Every rule that treats values by themselves, with each of its choices."""
    for rule in RULES:
        if not rule.elementwise and (not rule.name.startswith("torch.") or rule.name == MUON):
            continue
        yield rule.name, rule()
        for field in rule.fields():
            for choice in field.choices or ():
                if choice != getattr(rule(), field.name):
                    yield f"{rule.name}-{choice}", rule(**{field.name: choice})
        if "weight_decay" in [field.name for field in rule.fields()]:
            yield f"{rule.name}-decay", rule(weight_decay=0.1)
    yield "ademamix-warm", registry.get(Optimizer, "ademamix")(warmup=4)
    yield "ademamix-warm-zero", registry.get(Optimizer, "ademamix")(warmup=4, beta1=0.0)


VARIANTS = dict(variants())


def gradients() -> Iterator[torch.Tensor]:
    """Some gradients ``[1, P]``, of sizes at which a misplaced constant shows."""
    source = torch.Generator().manual_seed(5)
    for _ in range(STEPS):
        drawn = torch.randn(1, LAYOUT.total, generator=source, dtype=torch.float64)
        yield drawn * torch.logspace(-4, 0, LAYOUT.total, dtype=torch.float64)


def start() -> torch.Tensor:
    source = torch.Generator().manual_seed(3)
    return torch.randn(1, LAYOUT.total, generator=source, dtype=torch.float64)


def by_the_catalogue(rule: Optimizer, factor: float) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The parameters after some steps, and the points at which the gradients were asked for."""
    h = Hyperparameters(**rule.values(), step=1)
    h.layout = LAYOUT
    theta, points = start(), []
    state = rule.begin(theta, h)
    rate = getattr(rule, "lr", 1.0)
    for step, g in enumerate(gradients()):
        h.step, h.lr = step + 1, rate * factor**step
        points.append(rule.point(theta, state, h))
        theta, state = rule.update(theta, g, state, h)
    return theta, points


def by_the_script(
    written: WrittenRule, source: str, factor: float
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The same by the optimizer of a script."""
    model = torch.nn.Module()
    for spec, part in zip(LAYOUT.parameters, LAYOUT.split(start()), strict=True):
        name = spec.name.replace(".", "_")
        model.register_parameter(name, torch.nn.Parameter(part[0].clone()))
    space: dict[str, Any] = {"torch": torch, "model": model}
    exec(source, space)  # noqa: S102
    optimizer = eval(written.creation, space)  # noqa: S307
    rate, points = optimizer.param_groups[0]["lr"], []
    parameters = list(model.parameters())
    for step, g in enumerate(gradients()):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor**step
        here = [one.detach().clone() for one in parameters]
        if written.looks_ahead:
            optimizer.look_ahead()
        points.append(flat(parameters))
        with torch.no_grad():
            for one, value in zip(parameters, here, strict=True):
                one.copy_(value)
        for one, part in zip(parameters, LAYOUT.split(g), strict=True):
            one.grad = part[0].clone()
        optimizer.step()
    return flat(parameters), points


def flat(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    return torch.cat([one.detach().reshape(-1) for one in parameters]).unsqueeze(0)


def differs(one: tuple[Any, list[Any]], other: tuple[Any, list[Any]]) -> float:
    pairs = zip([one[0], *one[1]], [other[0], *other[1]], strict=True)
    return float(torch.stack([(a - b).abs().max() for a, b in pairs]).max())


@pytest.mark.parametrize("factor", [1.0, 0.8], ids=["constant", "falling"])
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_that_a_written_rule_takes_the_steps_of_the_catalogue(name: str, factor: float) -> None:
    rule = VARIANTS[name]
    written = WrittenRule(rule, () if factor == 1.0 else ("lr",))
    expected = by_the_catalogue(rule, factor)
    assert differs(by_the_script(written, written.definition, factor), expected) < 1e-12
    assert expected[0].isfinite().all() and not torch.equal(expected[0], start())


class Mutant(ast.NodeTransformer):
    """Swaps one plus for a minus, one times for a division, or one constant that is added."""

    def __init__(self, number: int) -> None:
        self.number, self.seen = number, -1

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        swapped = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
        other = swapped.get(type(node.op))
        if other is not None:
            self.seen += 1
            if self.seen == self.number:
                node.op = other()
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        root = node.func if isinstance(node.func, ast.Attribute) else None
        if root and root.attr.startswith("sqrt") and isinstance(root.value, ast.BinOp):
            # √r + δ in place of √(δ + r): the constant moves out of the root.
            self.seen += 1
            if self.seen == self.number:
                inner = root.value
                outside = ast.Call(ast.Attribute(inner.right, "sqrt", ast.Load()), [], [])
                return ast.BinOp(outside, inner.op, inner.left)
        return node


def mutants(source: str) -> Iterator[str]:
    """The rule with one sign, operation or place of a constant changed."""
    tree = ast.parse(source)
    number = 0
    while True:
        mutant = Mutant(number)
        changed = mutant.visit(copy.deepcopy(tree))
        if mutant.seen < number:
            return
        yield ast.unparse(ast.fix_missing_locations(changed))
        number += 1


WRITTEN_OUT = [
    name
    for name in (*(one for one in VARIANTS if "-" not in one), "ademamix-warm")
    if WrittenRule(VARIANTS[name], ("lr",)).definition
]


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_that_no_sign_of_a_written_rule_can_be_swapped_unseen(name: str) -> None:
    rule = VARIANTS[name]
    fields = {field.name: 0.3 for field in rule.fields() if field.name in ("eps", "weight_decay")}
    rule = rule.model_copy(update=fields)
    written = WrittenRule(rule, ("lr",))
    expected = by_the_catalogue(rule, 0.8)
    unseen = []
    for source in mutants(written.definition):
        try:
            if differs(by_the_script(written, source, 0.8), expected) <= 1e-9:
                unseen.append(source)
        except (TypeError, RuntimeError, ZeroDivisionError, ValueError):
            continue  # seen, too
    original = {*ast.unparse(ast.parse(written.definition)).splitlines()}
    lines = [line for one in unseen for line in one.splitlines() if line not in original]
    assert not [line for line in lines if not harmless(line)]


def harmless(line: str) -> bool:
    """Whether a changed line computes the same: a count from 0, a power that is 0, or ρ₁ = 0."""
    return any(text in line for text in ("group['step'] = ", "weight_power", "first.isinf()"))


def test_that_rules_of_another_kind_are_refused_in_a_sentence() -> None:
    for rule in registry.components(Optimizer):
        if rule.name in VARIANTS:
            continue
        with pytest.raises(InvalidInput, match=rf"optimizer\.name is '{rule.name}'"):
            WrittenRule(rule())
