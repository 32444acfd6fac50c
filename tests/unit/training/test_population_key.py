"""What runs of one population share, and the key by which others cut runs into populations."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.training.population import check_compatible, population_key

Build = Callable[..., Experiment]

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "seed": {"seed": 2},
    "title": {"title": "another"},
    "optimizer": {"optimizer": {"name": "adam"}},
    "objective optimizer": {"optimizer": {"name": "lbfgs"}},
    "rate": {"optimizer": {"lr": 0.01}},
    "schedule": {"schedule": {"name": "linear_decay", "tau": 100}},
    "clipping": {"clipping": {"name": "norm", "threshold": 0.1}},
    "order": {"batches": {"name": "with_replacement", "size": 16}},
    "batch size": {"batches": {"name": "shuffled", "size": 8}},
    "stopping": {"stopping": {"name": "early"}},
    "averaging": {"averaging": {"name": "polyak"}},
    "delay": {"delay": {"name": "fixed"}},
    "initializer": {"initializer": {"name": "zero"}},
    "data seed": {"dataset": {"seed": 7}},
    "noise": {"dataset": {"noise": 0.3}},
    "examples": {"dataset": {"size": 130}},
    "validation share": {"dataset": {"validation": 0.3}},
    "no standardization": {"dataset": {"standardize": False}},
    "other data": {"dataset": {"name": "circles", "size": 120}},
    "model": {"model": {"name": "mlp", "hidden": [6]}},
    "l2": {"loss": {"name": "cross_entropy", "l2": 0.1}},
    "l1": {"loss": {"name": "cross_entropy", "l1": 0.01}},
    "other loss": {"loss": {"name": "squared_error"}},
    "blur": {"continuation": {"name": "blur"}},
    "wider blur": {"continuation": {"name": "blur", "sigma": 0.2}},
    "more draws": {"continuation": {"name": "blur", "samples": 7}},
    "steps": {"budget": {"steps": 61}},
    "seconds": {"budget": {"seconds": 5.0}},
    "evaluations": {"measures": {"evaluate_every": 7}},
    "full gradients": {"measures": {"gradient_every": 9}},
    "fresh examples": {"measures": {"fresh": 100}},
    "followed weights": {"measures": {"weights": 3}},
    "instrument": {"instruments": {"distance": {}}},
    "instrument's field": {"instruments": {"distance": {"every": 3}}},
    "precision": {"precision": "float32"},
    "threads": {"threads": 2},
    "compiled steps": {"compiled": True},
}


def agree(first: Experiment, second: Experiment) -> bool:
    try:
        check_compatible([first, second])
    except InvalidInput:
        return False
    return True


def test_that_runs_form_a_population_exactly_if_their_keys_are_equal(build: Build) -> None:
    runs = {name: build(**changes) for name, changes in VARIANTS.items()}
    answers = set()
    for (name, first), (other, second) in itertools.product(runs.items(), runs.items()):
        same = population_key(first) == population_key(second)
        assert agree(first, second) == same, (name, other)
        assert not same or hash(population_key(first)) == hash(population_key(second))
        answers.add(same)
    assert answers == {True, False}


def test_that_every_class_of_runs_with_one_key_trains_as_one_population(
    build: Build, advanced: Any
) -> None:
    classes: dict[object, list[Experiment]] = {}
    for changes in VARIANTS.values():
        experiment = build(**changes)
        classes.setdefault(population_key(experiment), []).append(experiment)
    assert len(classes[population_key(build())]) > 10
    for members in classes.values():
        assert advanced(members, 2).runs == len(members)


@pytest.mark.parametrize("size", [3, 5])
def test_that_the_first_run_that_differs_is_named(build: Build, size: int) -> None:
    with pytest.raises(InvalidInput, match=rf"Run {size} of a population differs .* \[model\]"):
        check_compatible([build()] * (size - 1) + [build(model={"name": "mlp", "hidden": [6]})])
