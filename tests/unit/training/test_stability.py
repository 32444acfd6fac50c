"""The bounds of stability of update rules, against their steps on a quadratic and torch's Hessian."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optlab.catalogue.optimizers.base import Optimizer
from optlab.core import registry
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.training.control import Inbox
from optlab.training.events import SeriesBlock
from optlab.training.session import session
from optlab.training.trainer import Trainer

RATE = 0.01
STILL = 1.0 - 1e-12
"""A decay with which second moments stand still, as the bound supposes."""
RULES: list[dict[str, Any]] = [
    {"name": "sgd"},
    {"name": "momentum", "momentum": 0.7},
    {"name": "momentum", "momentum": 0.7, "form": "torch"},
    {"name": "nesterov", "momentum": 0.7},
    {"name": "nesterov", "momentum": 0.7, "form": "torch"},
    {"name": "adam", "beta1": 0.8, "beta2": STILL},
    {"name": "adamw", "beta1": 0.8, "beta2": STILL, "weight_decay": 20.0},
    {"name": "rmsprop", "rho": STILL},
    {"name": "rmsprop", "rho": STILL, "form": "torch"},
    {"name": "rmsprop_nesterov", "rho": STILL, "momentum": 0.7},
]


def named(values: dict[str, Any]) -> str:
    return " ".join(str(value) for value in values.values())


@pytest.mark.parametrize("values", RULES, ids=named)
def test_that_a_rule_diverges_on_a_quadratic_only_beyond_its_bound(values: dict[str, Any]) -> None:
    rule = registry.get(Optimizer, values["name"])
    h = Hyperparameters(**{**rule().values(), **values, "lr": RATE, "step": 10**6})
    # Two runs of one parameter, on either side of the bound, so near to the minimum that their
    # gradients leave the second moment as it is.
    theta = torch.full((2, 1), 1e-60, dtype=torch.float64)
    state = rule.start(theta)
    if "r" in state:
        state["r"] = torch.full_like(theta, 0.3)
    divides = rule.preconditioner(state, h)
    largest = rule.largest_stable(h)
    assert largest is not None and (divides is None) == ("r" not in state)
    curvature = torch.tensor([[0.98], [1.02]], dtype=torch.float64) * largest / RATE
    if divides is not None:
        assert not bool((divides == 1.0).any())
        curvature = curvature * divides
    lengths = []
    for _ in range(1500):
        theta, state = rule.update(theta, curvature * rule.point(theta, state, h), state, h)
        lengths.append(theta.abs().squeeze(1))
        if bool(lengths[-1][1] > 1e-45):
            break
    early, late = (torch.stack(part).amax(dim=0) for part in (lengths[:50], lengths[-50:]))
    assert bool(late[0] < 0.1 * early[0]), "below the bound it converges"
    assert bool(late[1] > 10.0 * early[1]), "beyond the bound it diverges"


def spectra(optimizers: list[dict[str, Any]], steps: int, **sections: Any) -> dict[str, Any]:
    """Return the spectrum's readings after the last step, name → values ``[R]``."""
    experiments = [
        Experiment.from_dict(
            {
                "device": "cpu",
                "precision": "float64",
                "dataset": {"name": "chebyshev", "validation": 0.0, "test": 0.0},
                "model": {"name": "mlp", "hidden": [6], "activation": "tanh"},
                "optimizer": optimizer,
                "batches": {"name": "never_shuffled", "size": 0},
                "budget": {"steps": steps},
                "instruments": {"spectrum": {"every": steps, "tolerance": 1e-9}},
                **sections,
            }
        )
        for optimizer in optimizers
    ]
    found: dict[str, Any] = {}
    for event in session(experiments, Inbox()):
        if isinstance(event, SeriesBlock):
            found |= {
                name.partition(".")[2]: series.values[-1]
                for name, series in event.series.items()
                if name.startswith("spectrum.")
            }
    return found


def test_that_the_spectrum_holds_the_bound_of_each_rule_beside_its_curvature() -> None:
    adam = {"name": "adam", "lr": 0.002, "beta1": 0.9}
    found = spectra(
        [
            {"name": "sgd", "lr": 0.1},
            {"name": "momentum", "lr": 0.1, "momentum": 0.5},
            {"name": "nesterov", "lr": 0.1, "momentum": 0.5},
            adam,
            {"name": "lion", "lr": 0.001},
        ],
        30,
    )
    assert found["stable"][:4] == pytest.approx([2 / 0.1, 3 / 0.1, 1.5 / 0.1, 38 / 0.002])
    assert found["curvature"][:3] == pytest.approx(found["top"][:3, 0], rel=1e-6)
    assert found["stable"][4] != found["stable"][4], "a rule of signs has no bound"
    # Adam's, from torch's own optimizer and Hessian on the same problem.
    trainer = Trainer(
        [
            Experiment.from_dict(
                {
                    "device": "cpu",
                    "precision": "float64",
                    "dataset": {"name": "chebyshev", "validation": 0.0, "test": 0.0},
                    "model": {"name": "mlp", "hidden": [6], "activation": "tanh"},
                    "optimizer": adam,
                    "batches": {"name": "never_shuffled", "size": 0},
                    "budget": {"steps": 30},
                }
            )
        ]
    )
    x, y = trainer.batch_of(0)

    def loss(point: torch.Tensor) -> torch.Tensor:
        return trainer.objective.total(point.unsqueeze(0), x, y)[0]

    theta = trainer.theta[0].clone().requires_grad_()
    optimizer = torch.optim.Adam([theta], lr=0.002)
    for _ in range(30):
        before = theta.detach().clone()
        optimizer.zero_grad()
        loss(theta).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    squares = optimizer.state[theta]["exp_avg_sq"] / (1.0 - 0.999**30)
    divides = (squares.sqrt() + 1e-8) * (1.0 - 0.9**30)
    matrix = torch.autograd.functional.hessian(loss, before) / divides.unsqueeze(1)
    exact = float(torch.linalg.eigvals(matrix).real.max())
    assert found["curvature"][3] == pytest.approx(exact, rel=1e-6)


def test_that_a_bound_follows_the_schedule_of_the_rate_and_of_the_momentum() -> None:
    found = spectra(
        [{"name": "momentum", "lr": 0.1, "momentum": 0.0}],
        11,
        schedule={"name": "linear_decay", "tau": 20, "last": 0.5},
        schedules={"optimizer.momentum": "from 0; linear to 0.8 in 20"},
    )
    # In step 11 the rate has fallen by 10/20 of the way to a half, and α risen as far to 0.8.
    assert found["stable"] == pytest.approx([(2.0 + 2.0 * 0.4) / 0.075])


def test_that_there_is_no_bound_for_stale_gradients_or_without_any_rule() -> None:
    assert "stable" not in spectra(
        [{"name": "sgd", "lr": 0.1}], 3, delay={"name": "fixed", "steps": 2}
    )
    assert "stable" not in spectra([{"name": "lion", "lr": 0.001}], 3)
