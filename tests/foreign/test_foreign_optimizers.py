"""Optimizers of other packages: each runs as in a loop of plain torch, or is refused in a sentence.

``-s`` prints the table: class, what came of it, largest relative difference of the parameters.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator

import pytest
import torch

from optlab.catalogue.optimizers._bridge import own
from optlab.core.errors import InvalidInput
from optlab.outside.own_models import records, sources

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(3600)]

PACKAGES = {
    "pytorch_optimizer": 121,
    "schedulefree": 9,
    "prodigyopt": 1,
    "lion_pytorch": 1,
    "heavyball": 37,
}
"""Package → how many of its classes run at least."""


def classes(package: str) -> Iterator[str]:
    """Yield the names of the optimizers of a package, each class once."""
    seen: set[type] = {torch.optim.Optimizer}
    for name, value in sorted(vars(importlib.import_module(package)).items()):
        if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer):
            if value not in seen and not value.__module__.startswith("torch."):
                yield name
            seen.add(value)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.filterwarnings("ignore")
@torch.compiler.set_stance("force_eager")  # what they compile is not the point
def test_that_each_class_runs_as_by_hand_or_says_why_not(package: str) -> None:
    ran = 0
    for name in classes(package):
        source = sources.find(f"{package}:{name}", kind=records.OPTIMIZER)
        try:
            done = own.register(source, f"tried_{name.lower()}")
        except InvalidInput as error:
            sentence = str(error)
            assert "\n" not in sentence and sentence.endswith(".")
            print(f"{package}.{name} | refused | {sentence}")
            continue
        ran += 1
        records.forget(done.registration.name, records.OPTIMIZER)
        kind = "closure" if done.registration.details["closure"] else "gradient"
        print(f"{package}.{name} | runs, {kind}, {done.precision} | {done.difference:.1e}")
    assert ran >= PACKAGES[package]
