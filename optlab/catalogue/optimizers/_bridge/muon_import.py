"""Muon as scripts have it: two optimizers of torch that are stepped together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from optlab.catalogue.optimizers._bridge.fields import Binding
from optlab.catalogue.optimizers._imported import ImportedRule
from optlab.outside.own_models.copies import literal

_BOTH = '''class MuonAndAdamW:
    """Muon for matrices and AdamW for all other parameters, stepped together."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers
        self.param_groups = [group for one in optimizers for group in one.param_groups]

    def step(self):
        for one in self.optimizers:
            one.step()

'''


def imported(
    names: Mapping[bool, Sequence[str]],
    values: Mapping[str, Any],
    arguments: Mapping[str, Any],
    rest: Mapping[str, Any],
    bindings: Sequence[Binding],
    changing: Collection[str],
) -> ImportedRule:
    """Return how scripts make and step Muon.

    Args:
        names: of the parameters that Muon trains (True), and of the others (False).
        values: of the fields. arguments: of Muon. rest: those of AdamW for the other parameters.
        bindings: argument of Muon → its fields. changing: fields that follow a schedule.
    """
    assigned, partly = _assigned(values, bindings, changing)
    before = ["named = dict(model.named_parameters())"]
    for name, chosen in (("matrices", True), ("others", False)):
        if names[chosen]:
            listed = ", ".join(map(repr, names[chosen]))
            before += [f"{name} = [named[name] for name in ({listed},)]"]
    made = []
    if names[True]:
        made += [f"torch.optim.Muon(matrices, {_listed(arguments)})"]
    if names[False]:
        made += [f"torch.optim.AdamW([{{'params': others, 'rest': True}}], {_listed(rest)})"]
    return ImportedRule(
        _BOTH,
        f"MuonAndAdamW({', '.join(made)})",
        tuple(before),
        assigned,
        {key: literal(arguments[key]) for key in assigned},
        partly=partly,
    )


def _assigned(
    values: Mapping[str, Any], bindings: Sequence[Binding], changing: Collection[str]
) -> tuple[dict[str, str], frozenset[str]]:
    """Return the keys of the groups that change → their values, and the keys of Muon alone."""
    found = {}
    for binding in bindings:
        if set(binding.fields) & set(changing):
            parts = {
                name: name if name in changing else literal(values[name]) for name in binding.fields
            }
            found[binding.argument] = binding.expression(parts)
    if {"lr", "rest_rate"} & set(changing):
        lr, share = (
            name if name in changing else literal(values[name]) for name in ("lr", "rest_rate")
        )
        found["lr"] = lr if share == "1.0" else f"{lr} * ({share} if 'rest' in group else 1.0)"
    return found, frozenset(found) - {"lr", "weight_decay"}


def _listed(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={literal(value)}" for key, value in arguments.items())
