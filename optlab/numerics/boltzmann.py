"""Restricted Boltzmann machines of Bernoulli units, for R machines at once.

``p(v, h) ∝ exp(−E(v, h))`` with ``E = −b·v − c·h − hᵀWv``. Given the units of one side, those of
the other are independent, which is all that sampling needs. The sum over all states is needed only
for the likelihood; it is computed by enumerating the states of the smaller side. All uniform random
numbers are arguments, so that the caller controls the randomness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from optlab.core.errors import InvalidInput
from optlab.core.lazy import functional, torch

MAX_ENUMERATED_UNITS = 20
"""Units of the smaller side up to which its 2ⁿ states are enumerated."""
MAX_PROPAGATED_UNITS = 10
"""Units of each side up to which a distribution over all states is propagated along a chain."""
_MAX_VALUES = 4_000_000
"""Maximum number of values, over all machines, in a chunk of enumerated states."""

Uniforms = Callable[[int], "torch.Tensor"]
"""Number of units → new uniform numbers in [0, 1), ``[R, n, units]``, for n chains."""


class Machine(NamedTuple):
    """Parameters of R machines, or gradients with respect to them.

    Attributes:
        weight: W, ``[R, H, V]``.
        visible: biases b of the visible units, ``[R, V]``.
        hidden: biases c of the hidden units, ``[R, H]``.
    """

    weight: torch.Tensor
    visible: torch.Tensor
    hidden: torch.Tensor


def energy(machine: Machine, v: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Return E ``[R, n]`` of pairs of states ``v`` ``[R, n, V]``, ``h`` ``[R, n, H]``."""
    pairs = (torch.bmm(v, machine.weight.transpose(1, 2)) * h).sum(dim=2)
    return -(pairs + _along(v, machine.visible) + _along(h, machine.hidden))


def free_energy(machine: Machine, v: torch.Tensor) -> torch.Tensor:
    """Return the free energy F ``[R, n]`` of states ``v`` ``[R, n, V]``.

    It is defined by ``exp(−F(v)) = Σ_h exp(−E(v, h))``.
    """
    return -(
        _along(v, machine.visible) + functional.softplus(_hidden_inputs(machine, v)).sum(dim=2)
    )


def hidden_probabilities(machine: Machine, v: torch.Tensor) -> torch.Tensor:
    """Return ``p(h_j = 1 | v)`` ``[R, n, H]`` for states ``v`` ``[R, n, V]``."""
    return _hidden_inputs(machine, v).sigmoid()


def visible_probabilities(machine: Machine, h: torch.Tensor) -> torch.Tensor:
    """Return ``p(v_i = 1 | h)`` ``[R, n, V]`` for states ``h`` ``[R, n, H]``."""
    return _visible_inputs(machine, h).sigmoid()


def reconstruction(machine: Machine, v: torch.Tensor) -> torch.Tensor:
    """Return the mean-field reconstruction ``[R, n, V]`` of states ``v`` ``[R, n, V]``.

    One pass up and one down with probabilities in place of states; nothing is drawn.
    """
    return visible_probabilities(machine, hidden_probabilities(machine, v))


def gibbs(machine: Machine, v: torch.Tensor, uniforms: Uniforms) -> torch.Tensor:
    """Draw all hidden and then all visible units, and return the new states ``[R, n, V]``.

    The step leaves ``p(v)`` invariant.
    """
    p = hidden_probabilities(machine, v)
    h = (uniforms(p.shape[2]) < p).to(v.dtype)
    p = visible_probabilities(machine, h)
    return (uniforms(p.shape[2]) < p).to(v.dtype)


def chain(machine: Machine, v: torch.Tensor, k: int, uniforms: Uniforms) -> torch.Tensor:
    """Return the states ``[R, n, V]`` after k Gibbs steps from ``v`` ``[R, n, V]``.

    Starting from data gives contrastive divergence, starting from the last end of the chains gives
    persistent contrastive divergence.
    """
    with torch.no_grad():
        for _ in range(k):
            v = gibbs(machine, v, uniforms)
    return v


def contrast(machine: Machine, v: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Return the mean free energy of data minus that of chains, ``[R]``.

    With ``end`` held constant, its gradient is that of contrastive divergence. The value itself has
    no meaning; it does not bound the likelihood.

    Args:
        machine: the machines.
        v: data ``[R, n, V]``.
        end: ends of the chains ``[R, n, V]``.
    """
    return free_energy(machine, v).mean(dim=1) - free_energy(machine, end).mean(dim=1)


def cd_gradient(machine: Machine, v: torch.Tensor, end: torch.Tensor) -> Machine:
    """Return the gradient of :func:`contrast` in closed form, for ``v`` and ``end`` ``[R, n, V]``.

    It is the difference of expectations under the chains and under the data.
    """
    return Machine(
        *(
            model - data
            for data, model in zip(_statistics(machine, v), _statistics(machine, end), strict=True)
        )
    )


def log_partition(machine: Machine) -> torch.Tensor:
    """Return ``log Σ_v Σ_h exp(−E(v, h))`` ``[R]``.

    Raises:
        InvalidInput: both sides have more than :data:`MAX_ENUMERATED_UNITS` units.
    """
    small, bias = _small_side(machine)
    hidden, checkpoint = bias is machine.hidden, torch.utils.checkpoint
    parts: list[torch.Tensor] = []
    for states in _states(small, machine):
        # A graph through all states would keep all of them in memory, so the backward pass
        # recomputes each part.
        parts.append(
            checkpoint.checkpoint(
                _log_weights,
                machine,
                states,
                hidden=hidden,
                use_reentrant=False,
                preserve_rng_state=False,
            )
        )
    return torch.logsumexp(torch.cat(parts, dim=1), dim=1)


def negative_log_likelihood(machine: Machine, v: torch.Tensor) -> torch.Tensor:
    """Return ``−log p(v)`` ``[R, n]``, exactly, of states ``v`` ``[R, n, V]``.

    Raises:
        InvalidInput: both sides have more than :data:`MAX_ENUMERATED_UNITS` units.
    """
    return free_energy(machine, v) + log_partition(machine).unsqueeze(1)


def exact_gradient(machine: Machine, v: torch.Tensor) -> Machine:
    """Return the exact gradient of the mean negative log-likelihood of ``v`` ``[R, n, V]``.

    It is the difference of expectations under the model and under the data.

    Raises:
        InvalidInput: both sides have more than :data:`MAX_ENUMERATED_UNITS` units.
    """
    small, bias = _small_side(machine)
    hidden = bias is machine.hidden
    log_z = log_partition(machine).unsqueeze(1)
    model = [torch.zeros_like(part) for part in machine]
    for states in _states(small, machine):
        p = (_log_weights(machine, states, hidden=hidden) - log_z).exp().unsqueeze(2)
        enumerated = states.expand(len(p), *states.shape)
        if hidden:
            h, v_model = enumerated, visible_probabilities(machine, enumerated)
        else:
            h, v_model = hidden_probabilities(machine, enumerated), enumerated
        model[0] += torch.bmm((p * h).transpose(1, 2), v_model)
        model[1] += (p * v_model).sum(dim=1)
        model[2] += (p * h).sum(dim=1)
    return Machine(
        *(expected - data for data, expected in zip(_statistics(machine, v), model, strict=True))
    )


def expected_cd_gradient(machine: Machine, v: torch.Tensor, k: int) -> Machine:
    """Return the expected :func:`cd_gradient` over chains of k steps from ``v`` ``[R, n, V]``.

    Its distance from the exact gradient is the bias of CD-k. The distribution of the chain is
    propagated over all states of both sides.

    Raises:
        InvalidInput: a side has more than :data:`MAX_PROPAGATED_UNITS` units.
    """
    hidden, visible = machine.hidden.shape[1], machine.visible.shape[1]
    if max(hidden, visible) > MAX_PROPAGATED_UNITS:
        raise InvalidInput(
            f"A Boltzmann machine of {visible} visible and {hidden} hidden units is too large to"
            " follow the distribution of a chain exactly; each side may have at most"
            f" {MAX_PROPAGATED_UNITS} units."
        )
    runs = len(machine.weight)
    ends, tops = (
        torch.cat(list(_states(bias[0], machine))).expand(runs, -1, -1)
        for bias in (machine.visible, machine.hidden)
    )
    up = _probabilities(hidden_probabilities(machine, ends), tops)
    down = _probabilities(visible_probabilities(machine, tops), ends)
    # over hidden states, [R, 1, 2^H]
    q = _probabilities(hidden_probabilities(machine, v), tops).mean(dim=1, keepdim=True)
    for _ in range(k - 1):
        q = q @ down @ up
    weights = (q @ down).transpose(1, 2)
    h = hidden_probabilities(machine, ends)
    model = (
        torch.bmm((weights * h).transpose(1, 2), ends),
        (weights * ends).sum(dim=1),
        (weights * h).sum(dim=1),
    )
    return Machine(
        *(expected - data for data, expected in zip(_statistics(machine, v), model, strict=True))
    )


def enumerable(visible: int, hidden: int) -> bool:
    """Return whether the exact likelihood of a machine of this size can be computed."""
    return min(visible, hidden) <= MAX_ENUMERATED_UNITS


def _statistics(machine: Machine, v: torch.Tensor) -> Machine:
    """Return the means of ``hvᵀ``, ``v`` and ``h`` over states ``v``; h are probabilities."""
    h = hidden_probabilities(machine, v)
    return Machine(torch.bmm(h.transpose(1, 2), v) / v.shape[1], v.mean(dim=1), h.mean(dim=1))


def _probabilities(p: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Return the probability ``[R, n, s]`` of each state ``[R, s, units]``.

    The units are independent, with probabilities ``p`` ``[R, n, units]``.
    """
    p, states = p.unsqueeze(2), states.unsqueeze(1)
    return torch.where(states > 0.5, p, 1.0 - p).prod(dim=3)


def _along(states: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.bmm(states, bias.unsqueeze(2)).squeeze(2)


def _hidden_inputs(machine: Machine, v: torch.Tensor) -> torch.Tensor:
    return torch.baddbmm(machine.hidden.unsqueeze(1), v, machine.weight.transpose(1, 2))


def _visible_inputs(machine: Machine, h: torch.Tensor) -> torch.Tensor:
    return torch.baddbmm(machine.visible.unsqueeze(1), h, machine.weight)


def _small_side(machine: Machine) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a row with one entry per unit of the smaller side, and the bias of that side."""
    hidden, visible = machine.hidden.shape[1], machine.visible.shape[1]
    if not enumerable(visible, hidden):
        raise InvalidInput(
            f"The exact likelihood of a Boltzmann machine of {visible} visible and {hidden} hidden"
            " units cannot be computed: the states of the smaller side are enumerated, and it may"
            f" have at most {MAX_ENUMERATED_UNITS} units; make it smaller."
        )
    bias = machine.hidden if hidden <= visible else machine.visible
    return bias[0], bias


def _states(like: torch.Tensor, machine: Machine) -> Iterator[torch.Tensor]:
    """Yield all 2ⁿ states of n units, in chunks ``[s, n]``."""
    n = len(like)
    bits = torch.arange(n, device=like.device)
    runs, hidden, visible = machine.weight.shape
    for part in torch.arange(2**n, device=like.device).split(
        max(1, _MAX_VALUES // (runs * max(hidden, visible)))
    ):
        yield (part.unsqueeze(1) >> bits & 1).to(like.dtype)


def _log_weights(machine: Machine, states: torch.Tensor, *, hidden: bool) -> torch.Tensor:
    """Return the logarithm ``[R, s]`` of the sum of ``exp(−E)`` over the other side.

    The states ``[s, n]`` are those of the hidden or of the visible side.
    """
    expanded = states.expand(len(machine.weight), *states.shape)
    if not hidden:
        return -free_energy(machine, expanded)
    inputs = _visible_inputs(machine, expanded)
    return _along(expanded, machine.hidden) + functional.softplus(inputs).sum(dim=2)
