"""Rules that want their gradient ahead of the iterate: with closures, without, and from one to the
other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

import optlab.optim

LR, ALPHA = 0.05, 0.9
CURVATURE = torch.tensor([0.5, 3.0, 12.0], dtype=torch.float64)
START = torch.tensor([1.0, -2.0, 0.7], dtype=torch.float64)


def algorithm(
    steps: int, momentum: Callable[[int], float] = lambda step: ALPHA
) -> list[torch.Tensor]:
    """θ after each step of Algorithm 8.3, written out."""
    theta, v, found = START.clone(), torch.zeros(3, dtype=torch.float64), []
    for step in range(steps):
        g = CURVATURE * (theta + momentum(step) * v)
        v = momentum(step) * v - LR * g
        theta = theta + v
        found.append(theta)
    return found


class Problem:
    def __init__(self, **kwargs: object) -> None:
        self.parameter = torch.nn.Parameter(START.clone())
        self.optimizer = optlab.optim.Nesterov([self.parameter], LR, momentum=ALPHA, **kwargs)
        self.seen: list[torch.Tensor] = []

    def closure(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        self.seen.append(self.parameter.detach().clone())
        loss = 0.5 * (CURVATURE * self.parameter.square()).sum()
        loss.backward()
        return loss

    def with_closure(self) -> torch.Tensor:
        return self.optimizer.step(self.closure)

    def without_closure(self) -> None:
        self.closure()
        self.optimizer.step()

    @property
    def iterate(self) -> torch.Tensor:
        with self.optimizer.at_iterate():
            return self.parameter.detach().clone()


def test_that_steps_with_a_closure_follow_the_algorithm() -> None:
    problem = Problem()
    for expected in algorithm(80):
        problem.with_closure()
        torch.testing.assert_close(problem.parameter.detach(), expected, rtol=1e-13, atol=1e-14)


def test_that_a_closure_is_evaluated_once_at_the_interim_point_and_its_loss_returned() -> None:
    problem = Problem()
    problem.with_closure()
    theta, v = (
        problem.parameter.detach().clone(),
        problem.optimizer.state[problem.parameter]["v"].clone(),
    )
    problem.seen.clear()
    loss = problem.with_closure()
    assert len(problem.seen) == 1
    interim = theta + ALPHA * v
    torch.testing.assert_close(problem.seen[0], interim, rtol=1e-15, atol=0.0)
    assert loss.item() == pytest.approx(
        0.5 * (CURVATURE * interim.square()).sum().item(), rel=1e-14
    )


def test_that_steps_without_a_closure_follow_the_same_iterates() -> None:
    problem = Problem()
    for expected in algorithm(80):
        problem.without_closure()
        torch.testing.assert_close(problem.iterate, expected, rtol=1e-12, atol=1e-13)


def test_that_between_steps_without_a_closure_the_parameters_are_the_interim_points() -> None:
    problem = Problem()
    for _ in range(5):
        problem.without_closure()
    v = problem.optimizer.state[problem.parameter]["v"]
    torch.testing.assert_close(
        problem.parameter.detach(), problem.iterate + ALPHA * v, rtol=1e-14, atol=0.0
    )


def test_that_looking_at_the_iterate_does_not_change_the_training() -> None:
    looked, plain = Problem(), Problem()
    for _ in range(20):
        looked.without_closure()
        plain.without_closure()
        before = looked.parameter.detach().clone()
        with looked.optimizer.at_iterate() as optimizer:
            assert optimizer is looked.optimizer
            assert not torch.equal(looked.parameter, before)
        assert torch.equal(looked.parameter, before)
    assert torch.equal(looked.parameter, plain.parameter)


def test_that_looking_does_not_move_the_point_though_the_momentum_has_changed() -> None:
    """The gradient may have been taken already: a scheduler steps between ``backward()`` and the
    look.
    """
    problem = Problem()
    for _ in range(3):
        problem.without_closure()
    problem.optimizer.param_groups[0]["momentum"] = 0.1
    before = problem.parameter.detach().clone()
    with problem.optimizer.at_iterate():
        pass
    assert torch.equal(problem.parameter, before)


def test_that_parameters_changed_at_the_iterate_are_looked_ahead_from_there() -> None:
    problem = Problem()
    problem.without_closure()
    new = torch.tensor([5.0, 5.0, 5.0], dtype=torch.float64)
    with problem.optimizer.at_iterate(), torch.no_grad():
        problem.parameter.copy_(new)
    torch.testing.assert_close(problem.iterate, new)
    torch.testing.assert_close(
        problem.parameter.detach(), new + ALPHA * problem.optimizer.state[problem.parameter]["v"]
    )


def test_that_a_change_of_the_parameters_between_steps_moves_the_iterate_with_them() -> None:
    problem = Problem()
    problem.without_closure()
    before = problem.iterate
    with torch.no_grad():
        problem.parameter.add_(1.0)
    torch.testing.assert_close(problem.iterate, before + 1.0)


def test_that_one_may_go_from_steps_without_to_steps_with_a_closure() -> None:
    problem = Problem()
    expected = algorithm(30)
    for _ in range(15):
        problem.without_closure()
    for theta in expected[15:]:
        problem.with_closure()
        torch.testing.assert_close(problem.parameter.detach(), theta, rtol=1e-12, atol=1e-13)


def test_that_a_step_without_a_closure_after_steps_with_one_is_refused_in_words() -> None:
    problem = Problem()
    for _ in range(3):
        problem.with_closure()
    before = problem.parameter.detach().clone()
    with pytest.raises(
        RuntimeError, match=r"Nesterov: this step has no closure.*call look_ahead\(\)"
    ):
        problem.without_closure()
    assert torch.equal(problem.parameter, before)
    assert problem.optimizer.state[problem.parameter]["step"] == 3


def test_that_look_ahead_continues_without_closures() -> None:
    problem = Problem()
    expected = algorithm(30)
    for _ in range(15):
        problem.with_closure()
    problem.optimizer.look_ahead()
    problem.optimizer.look_ahead()  # already there: nothing happens
    for theta in expected[15:]:
        problem.without_closure()
        torch.testing.assert_close(problem.iterate, theta, rtol=1e-12, atol=1e-13)


def test_that_a_step_within_at_iterate_is_refused() -> None:
    problem = Problem()
    problem.without_closure()
    with problem.optimizer.at_iterate(), pytest.raises(RuntimeError, match="within at_iterate"):
        problem.without_closure()


def test_that_with_closures_the_momentum_of_the_step_decides_where_its_gradient_is_evaluated() -> (
    None
):
    def momentum(step: int) -> float:
        return 0.5 + 0.01 * step

    problem = Problem()
    for step, expected in enumerate(algorithm(30, momentum)):
        problem.optimizer.param_groups[0]["momentum"] = momentum(step)
        problem.with_closure()
        torch.testing.assert_close(problem.parameter.detach(), expected, rtol=1e-13, atol=1e-14)


def test_that_weight_decay_acts_at_the_point_of_the_gradient_in_both_modes() -> None:
    with_closure, without = Problem(weight_decay=0.3), Problem(weight_decay=0.3)
    theta, v = START.clone(), torch.zeros(3, dtype=torch.float64)
    for _ in range(25):
        point = theta + ALPHA * v
        v = ALPHA * v - LR * (CURVATURE + 0.3) * point
        theta = theta + v
        with_closure.with_closure()
        without.without_closure()
    torch.testing.assert_close(with_closure.parameter.detach(), theta, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(without.iterate, theta, rtol=1e-12, atol=1e-13)


def test_that_a_closure_that_fails_leaves_the_parameters_at_the_iterate() -> None:
    problem = Problem()
    problem.with_closure()
    before = problem.parameter.detach().clone()

    def broken() -> torch.Tensor:
        raise FloatingPointError("out of range")

    with pytest.raises(FloatingPointError):
        problem.optimizer.step(broken)
    assert torch.equal(problem.parameter, before)


def test_that_a_parameter_without_gradient_stays_where_it_is_in_both_modes() -> None:
    still = torch.nn.Parameter(torch.ones(2))
    problem = Problem()
    problem.optimizer.add_param_group({"params": still})
    problem.without_closure()
    problem.with_closure()
    assert torch.equal(still, torch.ones(2))
    assert not problem.optimizer.state.get(still)


def test_that_a_copy_taken_at_the_interim_point_continues_alike() -> None:
    problem = Problem()
    for _ in range(7):
        problem.without_closure()
    twin = Problem()
    with torch.no_grad():
        twin.parameter.copy_(problem.parameter)
    twin.optimizer.load_state_dict(copy.deepcopy(problem.optimizer.state_dict()))
    for _ in range(7):
        problem.without_closure()
        twin.without_closure()
    assert torch.equal(problem.parameter, twin.parameter)


def test_that_the_torch_form_stores_the_interim_point_in_either_mode() -> None:
    problem, other = Problem(form="torch"), Problem(form="torch")
    for _ in range(20):
        problem.with_closure()
        other.without_closure()
    assert torch.equal(problem.parameter, other.parameter)
    assert torch.equal(problem.iterate, problem.parameter)


@pytest.mark.parametrize("name", ["SGD", "Momentum", "Adam"])
def test_that_other_rules_evaluate_a_closure_where_the_parameters_are(name: str) -> None:
    parameter = torch.nn.Parameter(START.clone())
    optimizer = getattr(optlab.optim, name)([parameter])
    seen = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        seen.append(parameter.detach().clone())
        loss = parameter.square().sum()
        assert torch.is_grad_enabled()
        loss.backward()
        return loss

    for _ in range(3):
        before = parameter.detach().clone()
        assert optimizer.step(closure).item() == pytest.approx(before.square().sum().item())
        assert torch.equal(seen[-1], before)
    assert len(seen) == 3
