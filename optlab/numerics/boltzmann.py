"""Restricted Boltzmann machines of Bernoulli units, for R machines at once.

``p(v, h) ∝ exp(−E(v, h))`` with ``E = −b·v − c·h − hᵀWv``. Given one side the units of the other
are independent, which is all that sampling needs; the sum over all states is needed for the
likelihood only, and is taken here by enumerating the smaller side. Every draw is made with uniform
numbers that are handed in, so that whoever calls decides what is random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from optlab.core.errors import InvalidInput
from optlab.core.lazy import functional, torch

MOST_ENUMERATED = 20
"""Units of the smaller side up to which its 2ⁿ states are enumerated."""
MOST_CARRIED = 10
"""Units of each side up to which a distribution over all states of both is carried along a chain.
"""
_VALUES_AT_ONCE = 4_000_000
"""Values, of all machines and of the larger side, that are held for the states enumerated at once.
"""

Uniforms = Callable[[int], "torch.Tensor"]
"""Number of units → fresh uniform numbers in [0, 1), ``[R, n, units]``, where n is the number of
chains.
"""


class Machine(NamedTuple):
    """Parameters of R machines, or gradients by them.

    Attributes:
        weight: W, ``[R, H, V]``. visible: b, ``[R, V]``. hidden: c, ``[R, H]``.
    """

    weight: torch.Tensor
    visible: torch.Tensor
    hidden: torch.Tensor


def energy(machine: Machine, v: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """E ``[R, n]`` of pairs of states ``v`` ``[R, n, V]``, ``h`` ``[R, n, H]``."""
    pairs = (torch.bmm(v, machine.weight.transpose(1, 2)) * h).sum(dim=2)
    return -(pairs + _along(v, machine.visible) + _along(h, machine.hidden))


def free_energy(machine: Machine, v: torch.Tensor) -> torch.Tensor:
    """F ``[R, n]`` with ``exp(−F(v)) = Σ_h exp(−E(v, h))``, of states ``v`` ``[R, n, V]``."""
    return -(
        _along(v, machine.visible) + functional.softplus(_hidden_inputs(machine, v)).sum(dim=2)
    )


def hidden_probabilities(machine: Machine, v: torch.Tensor) -> torch.Tensor:
    """``p(h_j = 1 | v)``, ``[R, n, H]``."""
    return _hidden_inputs(machine, v).sigmoid()


def visible_probabilities(machine: Machine, h: torch.Tensor) -> torch.Tensor:
    """``p(v_i = 1 | h)``, ``[R, n, V]``."""
    return _visible_inputs(machine, h).sigmoid()


def reconstruction(machine: Machine, v: torch.Tensor) -> torch.Tensor:
    """Visible probabilities ``[R, n, V]`` after one pass up and down that takes probabilities for
    states; no draw is made.
    """
    return visible_probabilities(machine, hidden_probabilities(machine, v))


def gibbs(machine: Machine, v: torch.Tensor, uniforms: Uniforms) -> torch.Tensor:
    """States ``[R, n, V]`` after all hidden units and then all visible ones were drawn anew; it
    leaves ``p(v)`` as it is.
    """
    p = hidden_probabilities(machine, v)
    h = (uniforms(p.shape[2]) < p).to(v.dtype)
    p = visible_probabilities(machine, h)
    return (uniforms(p.shape[2]) < p).to(v.dtype)


def chain(machine: Machine, v: torch.Tensor, k: int, uniforms: Uniforms) -> torch.Tensor:
    """States after k Gibbs steps from ``v``: its own start makes contrastive divergence, the end of
    the last one persistent chains.
    """
    with torch.no_grad():
        for _ in range(k):
            v = gibbs(machine, v, uniforms)
    return v


def contrast(machine: Machine, v: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Free energy of data above that of chains, ``mean F(v) − mean F(end)``, ``[R]``.

    With ``end`` held constant its gradient is that of contrastive divergence. Its value says
    nothing: it is no bound of the likelihood.
    """
    return free_energy(machine, v).mean(dim=1) - free_energy(machine, end).mean(dim=1)


def cd_gradient(machine: Machine, v: torch.Tensor, end: torch.Tensor) -> Machine:
    """The gradient of :func:`contrast`, written out: expectations under the chains less those under
    the data.
    """
    return Machine(
        *(
            model - data
            for data, model in zip(_statistics(machine, v), _statistics(machine, end), strict=True)
        )
    )


def log_partition(machine: Machine) -> torch.Tensor:
    """``log Σ_v Σ_h exp(−E(v, h))``, ``[R]``.

    Raises:
        InvalidInput: both sides have too many units.
    """
    small, bias = _small_side(machine)
    hidden, checkpoint = bias is machine.hidden, torch.utils.checkpoint
    found: list[torch.Tensor] = []
    for states in _states(small, machine):
        # A graph through all states would hold them all; so the backward pass computes each part
        # anew.
        found.append(
            checkpoint.checkpoint(
                _log_weights,
                machine,
                states,
                hidden=hidden,
                use_reentrant=False,
                preserve_rng_state=False,
            )
        )
    return torch.logsumexp(torch.cat(found, dim=1), dim=1)


def negative_log_likelihood(machine: Machine, v: torch.Tensor) -> torch.Tensor:
    """``−log p(v)`` ``[R, n]``, exactly.

    Raises:
        InvalidInput: both sides have too many units.
    """
    return free_energy(machine, v) + log_partition(machine).unsqueeze(1)


def exact_gradient(machine: Machine, v: torch.Tensor) -> Machine:
    """Gradient of the mean negative log-likelihood of ``v`` ``[R, n, V]``, exactly: expectations
    under the model less those under the data.

    Raises:
        InvalidInput: both sides have too many units.
    """
    small, bias = _small_side(machine)
    hidden = bias is machine.hidden
    log_z = log_partition(machine).unsqueeze(1)
    model = [torch.zeros_like(part) for part in machine]
    for states in _states(small, machine):
        p = (_log_weights(machine, states, hidden=hidden) - log_z).exp().unsqueeze(2)
        here = states.expand(len(p), *states.shape)
        other = (
            visible_probabilities(machine, here) if hidden else hidden_probabilities(machine, here)
        )
        h, v_model = (here, other) if hidden else (other, here)
        model[0] += torch.bmm((p * h).transpose(1, 2), v_model)
        model[1] += (p * v_model).sum(dim=1)
        model[2] += (p * h).sum(dim=1)
    return Machine(
        *(expected - data for data, expected in zip(_statistics(machine, v), model, strict=True))
    )


def expected_cd_gradient(machine: Machine, v: torch.Tensor, k: int) -> Machine:
    """What :func:`cd_gradient` is on average over all chains of k steps from ``v`` ``[R, n, V]``:
    its distance from the exact gradient is the bias of CD-k.

    Raises:
        InvalidInput: a side has too many units: the distribution of the chain is carried along over
            all states of both.
    """
    hidden, visible = machine.hidden.shape[1], machine.visible.shape[1]
    if max(hidden, visible) > MOST_CARRIED:
        raise InvalidInput(
            f"A Boltzmann machine of {visible} visible and {hidden} hidden units is too large to follow a chain's distribution exactly; each side may have at "
            f"most {MOST_CARRIED} units."
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
    """Whether a machine of this size is small enough for what is exact."""
    return min(visible, hidden) <= MOST_ENUMERATED


def _statistics(machine: Machine, v: torch.Tensor) -> Machine:
    """Means over states ``v``: ``hvᵀ``, ``v`` and ``h``, with the probabilities of h for its
    states.
    """
    h = hidden_probabilities(machine, v)
    return Machine(torch.bmm(h.transpose(1, 2), v) / v.shape[1], v.mean(dim=1), h.mean(dim=1))


def _probabilities(p: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Probability ``[R, n, s]`` of each state ``[R, s, units]`` under independent units of
    probability ``p`` ``[R, n, units]``.
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
    """An empty row of the smaller side's units, and that side's bias."""
    hidden, visible = machine.hidden.shape[1], machine.visible.shape[1]
    if not enumerable(visible, hidden):
        raise InvalidInput(
            f"A Boltzmann machine of {visible} visible and {hidden} hidden units has no exact likelihood here: the smaller side may have at most "
            f"{MOST_ENUMERATED} units, whose states are enumerated; make it smaller."
        )
    bias = machine.hidden if hidden <= visible else machine.visible
    return bias[0], bias


def _states(like: torch.Tensor, machine: Machine) -> Iterator[torch.Tensor]:
    """All 2ⁿ states of n units, in chunks ``[s, n]``."""
    n = len(like)
    bits = torch.arange(n, device=like.device)
    runs, hidden, visible = machine.weight.shape
    for part in torch.arange(2**n, device=like.device).split(
        max(1, _VALUES_AT_ONCE // (runs * max(hidden, visible)))
    ):
        yield (part.unsqueeze(1) >> bits & 1).to(like.dtype)


def _log_weights(machine: Machine, states: torch.Tensor, *, hidden: bool) -> torch.Tensor:
    """Logarithm ``[R, s]`` of the sum over the other side of ``exp(−E)``, for states ``[s, n]`` of
    the hidden or the visible side.
    """
    here = states.expand(len(machine.weight), *states.shape)
    if not hidden:
        return -free_energy(machine, here)
    return _along(here, machine.hidden) + functional.softplus(_visible_inputs(machine, here)).sum(
        dim=2
    )
