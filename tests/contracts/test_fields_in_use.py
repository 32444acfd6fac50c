"""A field that declares when it has an effect has one then, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from optlab.core import registry
from optlab.core.component import Component
from optlab.core.fields import Field
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

CONDITIONAL = [
    (component, field)
    for kind in ("model", "optimizer")
    for component in registry.components(kind)
    for field in component.fields()
    if field.only_if is not None
]


def losses(component: type[Component], values: dict[str, Any]) -> bytes:
    """What three steps of it lead to, with the losses that it reports."""
    tables = {
        "dataset": {"name": "iris"},
        "model": {"name": "mlp", "hidden": [3]},
        "batches": {"name": "shuffled", "size": 16},
        component.kind: {"name": component.name, **values},
    }
    if component.name == "rbm":
        tables |= {
            "dataset": {"name": "iris", "unit_range": True},
            "loss": {"name": "squared_error"},
        }
    trainer = Trainer([Experiment.from_dict(tables)])
    for _ in range(3):
        trainer.advance()
    reported = [value.cpu().numpy().tobytes() for value in trainer.evaluate().values()]
    return trainer.theta.numpy().tobytes() + b"".join(reported)


def other(field: Field) -> Any:
    if field.kind == "choice":
        return next(choice for choice in field.choices if choice != field.default)
    return {"integer": 3, "number": 0.05}[field.kind]


def test_that_the_condition_names_a_field_of_the_set_and_its_values() -> None:
    everything = [c for kind in registry.kinds() for c in registry.components(kind)]
    for component in everything:
        for field in component.fields():
            if field.only_if is not None:
                name, values = field.only_if
                for value in values:
                    component.build({name: value}, component.kind)
                assert not set(values) >= set(component.field(name).choices or (True, False))


@pytest.mark.parametrize(
    ("component", "field"), CONDITIONAL, ids=[f"{c.name}.{f.name}" for c, f in CONDITIONAL]
)
def test_that_a_field_has_an_effect_exactly_where_it_says(
    component: type[Component], field: Field
) -> None:
    assert field.only_if is not None
    switch = component.field(field.only_if[0])
    for value in switch.choices or (True, False):
        at = {switch.name: value}
        same = losses(component, at) == losses(component, {**at, field.name: other(field)})
        assert same != field.in_use({**component().values(), **at}), value
