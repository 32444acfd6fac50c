"""Check on a few made-up examples that a run can use a module of the user's.

A run keeps all that changes in one flat vector of parameters, repeats itself from its seed, and
evaluates in chunks; a module that keeps changing state of its own, draws random numbers or mixes
the examples of a batch cannot take part, and the user learns why.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.layout import Layout, Parameter, Role
from optlab.core.lazy import torch
from optlab.outside.own_models.sources import USER_ERRORS, explained

_EXAMPLES = 4
"""Examples that are tried."""

Make = Callable[[], "torch.nn.Module"]


@dataclass(frozen=True)
class Examined:
    """The result of an examination. ``batched``: whether vmap can carry several runs through it at once."""

    layout: Layout
    batched: bool


def examine(make: Make, shape: DataShape, flat: bool, what: str) -> Examined:
    """Try a module.

    Args:
        make: builds it. shape: of the data. flat: whether it takes examples as rows of numbers.
            what: what messages call it.

    Raises:
        InvalidInput: it cannot take part in a run; the message says why.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = built(make, what, 0).double()
        layout = layout_of(module, shape.outputs, what)
        x = torch.rand(_EXAMPLES, *((shape.width,) if flat else shape.inputs), dtype=torch.float64)
        outputs = _tried(module.train(), x, shape, what)
        _check_dependence(module.eval(), x, what)
        parameters = list(module.parameters())
        try:
            gradients = torch.autograd.grad(outputs.sum(), parameters, allow_unused=True)
        except RuntimeError as error:
            raise InvalidInput(
                f"{what} cannot be differentiated: {explained(error)}.", "model.name"
            ) from error
        if all(gradient is None for gradient in gradients):
            raise InvalidInput(f"{what}: no parameter has a part in its outputs.", "model.name")
        return Examined(layout, _batched(module.train(), x))


def built(make: Make, what: str, seed: int) -> torch.nn.Module:
    """Build the module; what its constructor draws depends on the seed alone.

    Raises:
        InvalidInput: the constructor failed; the message holds its error.
    """
    python, arrays = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)
            return make()
    except USER_ERRORS as error:
        raise InvalidInput(f"{what} cannot be built: {explained(error)}.", "model.name") from error
    finally:
        random.setstate(python)
        np.random.set_state(arrays)


def layout_of(module: torch.nn.Module, outputs: int, what: str) -> Layout:
    """Return the parameter tensors of a module.

    What each is for follows from its axes and its name: two axes and more make a weight, one a bias
    or a scale if it is called so. Whatever is no weight and no bias starts as the constructor sets
    it.

    Raises:
        InvalidInput: it has no parameters, or one that cannot be trained here.
    """
    found: list[Parameter] = []
    for name, parameter in module.named_parameters():
        if isinstance(parameter, torch.nn.parameter.UninitializedParameter):
            raise InvalidInput(
                f"{what}: the parameter {name} has no shape yet (a lazy layer); give its layer "
                "its sizes.",
                "model.name",
            )
        if not parameter.requires_grad:
            raise InvalidInput(
                f"{what}: the parameter {name} is frozen; make it a buffer (register_buffer) if "
                "it is a constant.",
                "model.name",
            )
        if not parameter.is_floating_point():
            raise InvalidInput(
                f"{what}: the parameter {name} is of type {parameter.dtype}; only real numbers "
                "can be trained.",
                "model.name",
            )
        if parameter.ndim == 0 or parameter.numel() == 0:
            raise InvalidInput(
                f"{what}: the parameter {name} has the shape {list(parameter.shape)}; give it at "
                "least one axis and one value.",
                "model.name",
            )
        found.append(_parameter(name, tuple(parameter.shape)))
    if not found:
        raise InvalidInput(f"{what} has no parameters, so there is nothing to train.", "model.name")
    weights = [parameter for parameter in found if parameter.role == "weight"]
    if weights and weights[-1].shape[0] == outputs:
        last = weights[-1].name.rpartition(".")[0]
        ours = {weights[-1].name, f"{last}.bias" if last else "bias"}
        found = [
            Parameter(p.name, p.shape, p.role, p.fan_in, p.fan_out, p.name in ours) for p in found
        ]
    return Layout(tuple(found))


def _parameter(name: str, shape: tuple[int, ...]) -> Parameter:
    if len(shape) >= 2:
        field = math.prod(shape[2:])  # the places of a convolution's kernel
        return Parameter(name, shape, "weight", shape[1] * field, shape[0] * field)
    last = name.rpartition(".")[2]
    scales = ("weight", "scale", "gain", "gamma")
    role: Role = "bias" if last == "bias" else "scale" if last in scales else "other"
    return Parameter(name, shape, role, shape[0], shape[0])


def _tried(module: torch.nn.Module, x: torch.Tensor, shape: DataShape, what: str) -> torch.Tensor:
    """Return the outputs of a training pass, checked: no side effects, no random draws, a shape that fits."""
    before = {name: value.detach().clone() for name, value in _state(module).items()}
    given = x.clone()
    try:
        outputs, again = module(given), module(x.clone())
    except USER_ERRORS as error:
        raise InvalidInput(
            f"{what}: its forward pass failed on examples of shape {list(x.shape[1:])} with "
            f"{explained(error)}.",
            "model.name",
        ) from error
    if not isinstance(outputs, torch.Tensor):
        raise InvalidInput(
            f"{what}: its forward pass gives a {type(outputs).__name__}, but must give one tensor.",
            "model.name",
        )
    changed = [
        name
        for name, value in _state(module).items()
        if name not in before or not torch.equal(value, before[name])
    ]
    if changed:
        raise InvalidInput(
            f"{what}: its forward pass changes its buffer {changed[0]} in place (running "
            "statistics of batch normalization are such), and a run keeps no state "
            "beside its parameters; use layer or group normalization.",
            "model.name",
        )
    if not torch.equal(given, x):
        raise InvalidInput(
            f"{what}: its forward pass changes its input in place, which several runs share; copy "
            "the input first.",
            "model.name",
        )
    wanted = (_EXAMPLES, shape.outputs)
    if tuple(outputs.shape) != wanted:
        raise InvalidInput(
            f"{what}: for {_EXAMPLES} examples it gives the shape {list(outputs.shape)}, but "
            f"{list(wanted)} is needed.",
            "model.name",
        )
    if outputs.dtype != torch.float64:
        raise InvalidInput(
            f"{what}: it gives {outputs.dtype} for inputs and parameters of float64; keep to "
            "their type (x.dtype) in the forward pass.",
            "model.name",
        )
    if not torch.equal(outputs, again):
        raise InvalidInput(
            f"{what}: two training passes over the same examples differ; random numbers in the "
            "forward pass (dropout) would not repeat from the run's seed.",
            "model.name",
        )
    return outputs


def _check_dependence(module: torch.nn.Module, x: torch.Tensor, what: str) -> None:
    with torch.no_grad():
        try:
            together, alone = (
                module(x.clone()),
                torch.cat([module(half.clone()) for half in x.split(_EXAMPLES // 2)]),
            )
        except USER_ERRORS as error:
            raise InvalidInput(
                f"{what}: its forward pass failed outside of training with {explained(error)}.",
                "model.name",
            ) from error
    if together.shape != alone.shape or not torch.allclose(
        together, alone, rtol=1e-6, atol=1e-9, equal_nan=True
    ):
        raise InvalidInput(
            f"{what}: what it gives for one example depends on the others of its batch (batch "
            "normalization does), so an evaluation in parts would be wrong; "
            "use layer or group normalization.",
            "model.name",
        )


def _batched(module: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether vmap over runs works, and gives what one run after the other gives."""
    names = [name for name, _ in module.named_parameters()]
    rows = [[value.detach() * factor for value in module.parameters()] for factor in (1.0, 0.5)]
    with warnings.catch_warnings(), torch.no_grad():
        # torch warns where it would run one after the other in secret
        warnings.simplefilter("error")
        try:
            together = over_runs(module, names)(
                [torch.stack(pair) for pair in zip(*rows, strict=True)], torch.stack([x, x])
            )
            alone = [
                torch.func.functional_call(module, dict(zip(names, row, strict=True)), (x,))
                for row in rows
            ]
        except Exception:  # noqa: BLE001 - vmap refuses in many ways, and one run after the other is always there
            return False
    return bool(torch.allclose(together, torch.stack(alone), rtol=1e-9, atol=1e-12, equal_nan=True))


def over_runs(module: torch.nn.Module, names: list[str]) -> Callable[..., Any]:
    """Return a function from parameters ``[R, *shape]`` and ``x`` ``[R, m, …]`` to ``[R, m, outputs]``."""

    def one(parameters: list[torch.Tensor], x: torch.Tensor) -> Any:
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    found: Callable[..., Any] = torch.func.vmap(one)
    return found


def _state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
