"""Restricted Boltzmann machines: against enumeration of all pairs of states, and chains against the
distribution that they have to leave alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch

from optlab.core.errors import InvalidInput
from optlab.numerics import boltzmann
from optlab.numerics.boltzmann import Machine


def drawn(runs: int, visible: int, hidden: int, seed: int = 0, scale: float = 1.0) -> Machine:
    source = torch.Generator().manual_seed(seed)
    shapes = ((runs, hidden, visible), (runs, visible), (runs, hidden))
    return Machine(
        *(scale * torch.randn(shape, generator=source, dtype=torch.float64) for shape in shapes)
    )


def uniforms(runs: int, chains: int, seed: int = 0) -> Callable[[int], torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return lambda units: torch.rand(runs, chains, units, generator=source, dtype=torch.float64)


def all_states(units: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=units)), dtype=torch.float64)


def every_pair(weight: torch.Tensor, visible: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """−E of one machine at all pairs ``[2^V, 2^H]``, one pair at a time."""
    rows = [
        torch.stack([v @ visible + h @ hidden + h @ weight @ v for h in all_states(len(hidden))])
        for v in all_states(len(visible))
    ]
    return torch.stack(rows)


def data(runs: int, n: int, visible: int, seed: int = 3) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return (torch.rand(runs, n, visible, generator=source, dtype=torch.float64) < 0.3).double()


def test_that_energies_agree_with_their_definition() -> None:
    machine = drawn(2, 4, 3)
    pairs = list(itertools.product(all_states(4), all_states(3)))
    v = torch.stack([v for v, _ in pairs]).expand(2, -1, -1)
    h = torch.stack([h for _, h in pairs]).expand(2, -1, -1)
    for run in range(2):
        mine = boltzmann.energy(machine, v, h)[run].view(16, 8)
        torch.testing.assert_close(mine, -every_pair(*(part[run] for part in machine)))
        free = boltzmann.free_energy(machine, all_states(4).expand(2, -1, -1))[run]
        torch.testing.assert_close(
            free, -torch.logsumexp(every_pair(*(part[run] for part in machine)), dim=1)
        )


@pytest.mark.parametrize(("visible", "hidden"), [(5, 3), (3, 5), (4, 4)])
def test_that_the_exact_likelihood_and_its_gradient_are_those_of_all_pairs(
    visible: int, hidden: int
) -> None:
    machine = drawn(2, visible, hidden)
    v = data(2, 7, visible)
    nll, gradient = (
        boltzmann.negative_log_likelihood(machine, v),
        boltzmann.exact_gradient(machine, v),
    )
    for run in range(2):
        leaves = [part[run].clone().requires_grad_() for part in machine]
        pairs = every_pair(*leaves)
        places = [int("".join(str(int(bit)) for bit in row), 2) for row in v[run]]
        batch_objective = (
            torch.logsumexp(pairs.flatten(), dim=0) - torch.logsumexp(pairs, dim=1)[places]
        )
        torch.testing.assert_close(nll[run], batch_objective.detach())
        for mine, theirs in zip(
            gradient, torch.autograd.grad(batch_objective.mean(), leaves), strict=True
        ):
            torch.testing.assert_close(mine[run], theirs, rtol=1e-10, atol=1e-12)


def test_that_conditional_probabilities_are_those_of_all_pairs() -> None:
    machine = drawn(1, 4, 3)
    joint = every_pair(*(part[0] for part in machine)).flatten().softmax(0).view(16, 8)
    of_h = (joint @ all_states(3)) / joint.sum(dim=1, keepdim=True)
    of_v = (joint.T @ all_states(4)) / joint.sum(dim=0).unsqueeze(1)
    torch.testing.assert_close(
        boltzmann.hidden_probabilities(machine, all_states(4)[None])[0], of_h
    )
    torch.testing.assert_close(
        boltzmann.visible_probabilities(machine, all_states(3)[None])[0], of_v
    )


def test_that_the_gradient_of_the_contrast_is_that_of_contrastive_divergence() -> None:
    machine = Machine(*(part.requires_grad_() for part in drawn(2, 5, 3)))
    v = data(2, 7, 5)
    end = boltzmann.chain(machine, v, 2, uniforms(2, 7))
    found = torch.autograd.grad(boltzmann.contrast(machine, v, end).sum(), list(machine))
    for mine, theirs in zip(boltzmann.cd_gradient(machine, v, end), found, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_that_a_gibbs_step_leaves_the_machines_distribution_alone() -> None:
    """Chains that start with all states in their exact shares are in the same shares after steps,
    up to the error of counting.
    """
    machine = drawn(1, 3, 2, seed=5)
    states = all_states(3)
    p = torch.softmax(-boltzmann.free_energy(machine, states[None])[0], dim=0)
    chains = 200_000
    places = torch.multinomial(
        p, chains, replacement=True, generator=torch.Generator().manual_seed(1)
    )
    end = boltzmann.chain(machine, states[places][None], 3, uniforms(1, chains, seed=2))[0]
    share = (
        torch.bincount(
            (end @ torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)).long(), minlength=8
        )
        / chains
    )
    assert float(((share - p).abs() / (p * (1 - p) / chains).sqrt()).max()) < 4.0
    assert p.max() < 0.6  # several states take part
    # One step from somewhere else is far from it: the test would see a chain that stands still.
    wrong = boltzmann.chain(
        machine, torch.zeros(1, chains, 3, dtype=torch.float64), 1, uniforms(1, chains, seed=2)
    )[0]
    share = (
        torch.bincount(
            (wrong @ torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)).long(), minlength=8
        )
        / chains
    )
    assert float(((share - p).abs() / (p * (1 - p) / chains).sqrt()).max()) > 20.0


def trained(steps: int) -> tuple[Machine, torch.Tensor]:
    """A small machine after descent on its exact likelihood of two patterns and their noisy
    neighbors.
    """
    source = torch.Generator().manual_seed(0)
    patterns = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], dtype=torch.float64)
    rows = patterns[torch.randint(2, (40,), generator=source)]
    flipped = torch.rand(rows.shape, generator=source) < 0.05
    v = torch.where(flipped, 1.0 - rows, rows)[None]
    machine = drawn(1, 6, 4, seed=1, scale=0.1)
    for _ in range(steps):
        machine = Machine(
            *(
                part - 0.1 * g
                for part, g in zip(machine, boltzmann.exact_gradient(machine, v), strict=True)
            )
        )
    return machine, v


def flat(gradient: Machine) -> torch.Tensor:
    return torch.cat([part.flatten() for part in gradient])


def test_that_descent_on_the_exact_gradient_approaches_the_entropy_of_the_data() -> None:
    machine, v = trained(1000)
    _, counts = v[0].unique(dim=0, return_counts=True)
    share = counts / counts.sum()
    entropy = float(-(share * share.log()).sum())
    reached = float(boltzmann.negative_log_likelihood(machine, v).mean())
    assert entropy <= reached < entropy + 0.15


def test_that_sampled_chains_agree_with_what_they_are_on_average() -> None:
    machine, v = trained(600)
    many = v.repeat(1, 4000, 1)
    for k in (1, 3):
        end = boltzmann.chain(machine, many, k, uniforms(1, many.shape[1], seed=k))
        expected = flat(boltzmann.expected_cd_gradient(machine, v, k))
        found = flat(boltzmann.cd_gradient(machine, many, end))
        # a unit's standard deviation is at most one half
        assert float((found - expected).abs().max()) < 5.0 * 0.5 / many.shape[1] ** 0.5


def test_that_contrastive_divergence_is_biased_and_less_so_with_longer_chains() -> None:
    machine, v = trained(600)
    exact = flat(boltzmann.exact_gradient(machine, v))
    biases = [
        float((flat(boltzmann.expected_cd_gradient(machine, v, k)) - exact).norm())
        for k in (1, 2, 4, 8, 16, 32, 4000)
    ]
    assert all(longer < shorter for shorter, longer in zip(biases, biases[1:], strict=False))
    assert biases[0] > 0.015
    assert biases[-1] < 1e-6


def test_that_sampled_chains_of_many_steps_give_the_exact_gradient() -> None:
    machine, v = drawn(1, 5, 3, seed=2), data(1, 20, 5)
    many = v.repeat(1, 4000, 1)
    exact = flat(boltzmann.exact_gradient(machine, v))
    far, near = (
        float(
            (
                flat(
                    boltzmann.cd_gradient(
                        machine,
                        many,
                        boltzmann.chain(machine, many, k, uniforms(1, many.shape[1], seed=k)),
                    )
                )
                - exact
            )
            .abs()
            .max()
        )
        for k in (1, 40)
    )
    assert near < 5.0 * 0.5 / many.shape[1] ** 0.5 < 0.5 * far


@pytest.mark.parametrize(("visible", "hidden"), [(9, 3), (3, 9)])
def test_that_the_states_of_the_smaller_side_are_enumerated(
    visible: int, hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    enumerated: list[int] = []
    states = boltzmann._states

    def noted(like: torch.Tensor, machine: Machine) -> Iterator[torch.Tensor]:
        for part in states(like, machine):
            enumerated.append(len(part))
            yield part

    monkeypatch.setattr(boltzmann, "_states", noted)
    machine, v = drawn(1, visible, hidden), data(1, 4, visible)
    boltzmann.negative_log_likelihood(machine, v)
    assert sum(enumerated) == 2**3
    boltzmann.exact_gradient(machine, v)
    assert sum(enumerated) == 3 * 2**3, "once for the sum over all states, once for expectations"


def test_that_a_machine_with_many_units_on_both_sides_has_no_exact_likelihood() -> None:
    v = torch.zeros(1, 2, 21, dtype=torch.float64)
    with pytest.raises(InvalidInput, match="at most 20 units"):
        boltzmann.negative_log_likelihood(drawn(1, 21, 21), v)
    assert not boltzmann.enumerable(21, 21)
    free = Machine(*(torch.zeros_like(part) for part in drawn(1, 21, 18)))
    torch.testing.assert_close(
        boltzmann.negative_log_likelihood(free, v),
        torch.full((1, 2), 21 * 0.6931471805599453, dtype=torch.float64),
    )
