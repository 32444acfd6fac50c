"""A probe: the curvature of a loss in the midst of a foreign training loop.

It may evaluate the model as often as it likes, and leaves no trace: gradients, buffers, training
modes, random generators and the storage of the weights are afterwards what they were. Products with
the Hessian are gradients of gradients, so what has no second derivative (fused attention, recurrent
layers of cuDNN, compiled models) is evaluated in its plain form.
"""

from __future__ import annotations

import contextlib
import math
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.lanczos import lanczos

_STEPS = 8
"""Dimension of a Krylov space; the next one begins with the best vector of the last."""
_ROUNDS = 4
"""Krylov spaces at most."""
_TOLERANCE = 1e-3
"""Relative change of λ₁ below which it is good enough."""
_GROUPS = 8
"""Groups of examples whose gradients give the noise scale."""
_REACH = 0.05
"""Half of the length of a slice, as a share of the norm of the weights."""


@dataclass(frozen=True)
class ProbeResult:
    """What a probe has measured.

    Attributes:
        values: series → value.
        slice: ``distances`` and ``losses`` along the negative gradient, where it was asked for.
    """

    values: Mapping[str, float]
    slice: Mapping[str, Any] | None = None


class Probe:
    """Measures a loss at every so many steps.

    Args:
        closure: returns the loss ``[]``, or the losses of examples ``[B]``.
        modules: whose buffers and modes are put back.
        parameters: with respect to which it is differentiated.
        every: steps from one measurement to the next.
        points: of a slice; 0 for none.

    Attributes:
        every: as above; 0 for a probe that measures no more.
    """

    def __init__(
        self,
        closure: Callable[[], torch.Tensor],
        modules: Sequence[torch.nn.Module],
        parameters: Sequence[torch.nn.Parameter],
        every: int,
        points: int,
    ) -> None:
        self.every = every
        self._closure = closure
        self._modules = modules
        self._parameters = [each for each in parameters if each.requires_grad]
        self._points = points
        self._vector: torch.Tensor | None = None
        refuse_distributed(modules)

    def is_due(self, step: int) -> bool:
        """Return whether it measures after a step."""
        return self.every > 0 and step % self.every == 0

    def next_after(self, step: int) -> float:
        """Return the step after which it measures next."""
        return (step // self.every + 1) * self.every if self.every > 0 else math.inf

    def measure(self) -> ProbeResult:
        """Measure, and leave everything as it was.

        Raises:
            ValueError: the closure does not return a loss that depends on the parameters.
            RuntimeError: the loss has no second derivative.
        """
        with untouched(self._modules, self._parameters), twice_differentiable():
            return self._measure()

    def _measure(self) -> ProbeResult:
        losses = self._closure()
        if not isinstance(losses, torch.Tensor) or losses.ndim > 1 or not losses.numel():
            raise ValueError("the closure returns a loss, or a vector with the losses of examples")
        loss = losses.mean()
        if not loss.requires_grad:
            raise ValueError("the closure returns a loss that does not depend on the parameters")
        used = torch.autograd.grad(loss, self._parameters, create_graph=True, allow_unused=True)
        parameters = [p for p, g in zip(self._parameters, used, strict=True) if g is not None]
        gradients = [g for g in used if g is not None]
        flat = _flat(gradients)
        g = flat.detach()

        def product(vectors: torch.Tensor) -> torch.Tensor:
            """Return the product ``[1, P]`` of the Hessian and a vector ``[1, P]``."""
            if not flat.requires_grad:  # a loss that is linear in the weights
                return torch.zeros_like(vectors)
            parts = torch.autograd.grad(
                flat, parameters, vectors[0], retain_graph=True, allow_unused=True
            )
            return _flat(
                [
                    torch.zeros_like(p) if h is None else h
                    for p, h in zip(parameters, parts, strict=True)
                ]
            ).detach()[None]

        curved = product(g[None])[0]
        values = {
            "probe_loss": float(loss.detach()),
            "probe_gradient_square": float(g.dot(g)),
            "probe_gradient_curvature": float(g.dot(curved)),
            "top_eigenvalue": self._top_eigenvalue(product, g),
        }
        if losses.numel() > 1:
            noise = self._noise_scale(losses, parameters)
            if noise is not None:
                values["noise_scale"] = noise
        points = self._slice(parameters, g) if self._points >= 3 else None
        return ProbeResult(values, points)

    def _top_eigenvalue(
        self, product: Callable[[torch.Tensor], torch.Tensor], g: torch.Tensor
    ) -> float:
        """Return the eigenvalue of largest absolute value; ``g``: the gradient ``[P]``."""
        start = self._vector
        if start is None or start.shape != g.shape:
            generator = torch.Generator().manual_seed(0)
            start = torch.randn(g.shape, generator=generator, dtype=torch.float64).to(g)
        value = math.nan
        for _ in range(_ROUNDS):
            space = lanczos(product, start[None], min(_STEPS, g.numel()))
            size = int(space.sizes[0])
            if size == 0:
                return 0.0
            eigenvalues, vectors = torch.linalg.eigh(space.matrix[0, :size, :size])
            best = int(eigenvalues.abs().argmax())
            before, value = value, float(eigenvalues[best])
            start = vectors[:, best] @ space.basis[0, :size]
            if size < _STEPS or abs(value - before) <= _TOLERANCE * abs(value):
                break
        self._vector = start
        return value

    def _noise_scale(
        self, losses: torch.Tensor, parameters: Sequence[torch.nn.Parameter]
    ) -> float | None:
        """Return tr Σ / gᵀg: Σ is the covariance of the gradients of the examples' losses ``[B]``.

        It is estimated from groups of examples, whose gradients have Σ over their size as their
        covariance; gᵀg is corrected for the noise of the batch.
        """
        size = losses.numel() // min(_GROUPS, losses.numel())
        groups = losses[: size * (losses.numel() // size)].split(size)
        flats = torch.stack(
            [
                _flat(
                    torch.autograd.grad(
                        group.mean(), parameters, retain_graph=True, materialize_grads=True
                    )
                )
                for group in groups
            ]
        ).double()
        mean = flats.mean(dim=0)
        trace = float((flats - mean).square().sum()) / (len(groups) - 1) * size
        square = float(mean.dot(mean)) - trace / (size * len(groups))
        return trace / square if square > 0.0 else None

    def _slice(
        self, parameters: Sequence[torch.nn.Parameter], g: torch.Tensor
    ) -> Mapping[str, Any] | None:
        """Return losses along the negative gradient ``[P]``, with distances in weight space."""
        length = float(g.norm())
        if not 0.0 < length < math.inf:
            return None
        original = [parameter.data for parameter in parameters]
        reach = _REACH * math.hypot(*(float(each.norm()) for each in original))
        directions = [
            part.reshape(each.shape)
            for part, each in zip(
                (g / -length).split([each.numel() for each in original]), original, strict=True
            )
        ]
        distances = torch.linspace(-reach, reach, self._points, dtype=torch.float64).tolist()
        losses = []
        try:
            for distance in distances:
                for parameter, weights, direction in zip(
                    parameters, original, directions, strict=True
                ):
                    parameter.data = weights + distance * direction
                losses.append(float(self._closure().detach().mean()))
        finally:
            # The storage itself is put back, not a copy of its numbers.
            for parameter, weights in zip(parameters, original, strict=True):
                parameter.data = weights
        return {"direction": "negative gradient", "distances": distances, "losses": losses}


def _flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


# --- leaving no trace -----------------------------------------------------------------------------


@contextlib.contextmanager
def untouched(
    modules: Sequence[torch.nn.Module], parameters: Sequence[torch.nn.Parameter]
) -> Iterator[None]:
    """Put gradients, buffers, modes and random generators back at the end."""
    gradients = [parameter.grad for parameter in parameters]
    modes = [(part, part.training) for module in modules for part in module.modules()]
    buffers = [
        (part, name, buffer, buffer.detach().clone())
        for module in modules
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    with same_randomness({parameter.device for parameter in parameters}):
        try:
            for parameter in parameters:
                parameter.grad = None
            with torch.enable_grad():
                yield
        finally:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            for part, training in modes:
                part.training = training
            with torch.no_grad():
                for part, name, buffer, values in buffers:
                    part._buffers[name] = buffer
                    # Batch norm writes to its buffers without counting a version, and a graph that
                    # is still needed would count a write that changes nothing.
                    if not torch.equal(buffer, values):
                        buffer.copy_(values)


@contextlib.contextmanager
def same_randomness(devices: set[torch.device]) -> Iterator[None]:
    """Put the states of all random generators back at the end."""
    kinds = {device.type for device in devices} - {"cpu", "meta"}
    modules: dict[str, Any] = {kind: getattr(torch, kind, None) for kind in kinds}
    on_devices = {
        kind: module.get_rng_state_all()
        for kind, module in modules.items()
        if hasattr(module, "get_rng_state_all")
    }
    cpu, own = torch.get_rng_state(), random.getstate()
    numpy_random: Any = getattr(sys.modules.get("numpy"), "random", None)
    numpy_state = numpy_random.get_state() if numpy_random is not None else None
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        for kind, states in on_devices.items():
            modules[kind].set_rng_state_all(states)
        random.setstate(own)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)


@contextlib.contextmanager
def twice_differentiable() -> Iterator[None]:
    """Have operations evaluated in a form that has a second derivative."""
    with contextlib.ExitStack() as stack:
        attention = torch.nn.attention
        stack.enter_context(attention.sdpa_kernel(attention.SDPBackend.MATH))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(torch.autocast("cpu", enabled=False))
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def refuse_distributed(modules: Sequence[torch.nn.Module]) -> None:
    """Refuse models whose forward pass waits for other processes, which take no part in a probe.

    Raises:
        ValueError: one is such a model.
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    if distributed.get_world_size() > 1:
        raise ValueError(
            "the model is trained by several processes, which would wait for each other"
        )
