"""Check on a few made-up examples that a run can use a module of the user's.

A run keeps what changes in parameters and buffers, repeats itself from its seed, and evaluates in
chunks, without a change. A module that keeps state elsewhere, draws random numbers from elsewhere
than torch, or mixes the examples of an evaluation cannot take part, and the user learns why.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.layout import Layout, Parameter, Role
from optlab.core.lazy import torch
from optlab.outside.own_models.calling import call, over_runs
from optlab.outside.own_models.division import Division, made_up
from optlab.outside.own_models.sources import USER_ERRORS, explained

_EXAMPLES = 4
"""Examples that are tried."""

Make = Callable[[], "torch.nn.Module"]


@dataclass(frozen=True)
class Examined:
    """The result of an examination.

    Attributes:
        layout: of the parameters that are trained.
        scalars: names of those that have no axis in the module; the layout gives them one.
        frozen: names of the parameters that are not trained.
        changing: names of the buffers that a training pass changes.
        draws: whether a training pass draws random numbers.
        batched: whether vmap can carry several runs through it at once.
        unused: names of the parameters that are trained and have no part in the outputs.
    """

    layout: Layout
    scalars: frozenset[str]
    frozen: tuple[str, ...]
    changing: tuple[str, ...]
    draws: bool
    batched: bool
    unused: tuple[str, ...] = ()

    @property
    def state(self) -> tuple[str, ...]:
        """Names of what belongs to a run beside its trained parameters."""
        return (*self.frozen, *self.changing)

    @property
    def differs(self) -> bool:
        """Whether a training pass draws random numbers or changes buffers."""
        return self.draws or bool(self.changing)


def examine(
    make: Make, shape: DataShape, flat: bool, what: str, division: Division | None = None
) -> Examined:
    """Try a module.

    Args:
        make: builds it. shape: of the data. flat: whether it takes examples as rows of numbers.
            what: what messages call it. division: of the inputs among the arguments of its forward
            pass; None where it takes them as one.

    Raises:
        InvalidInput: it cannot take part in a run; the message says why.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = built(make, what, 0).double()
        layout = layout_of(module, shape.outputs, what)
        x = made_up(shape, _EXAMPLES)
        if flat and division is None:
            x = x.flatten(1)
        tried = _tried(module.train(), x, shape, what, division)
        _check_evaluation(module.eval(), x, what, division)
        trained = [value for value in module.parameters() if value.requires_grad]
        try:
            outputs = _asked(module.train(), x.clone(), division)
            gradients = torch.autograd.grad(outputs.sum(), trained, allow_unused=True)
        except RuntimeError as error:
            raise InvalidInput(
                f"{what} cannot be differentiated: {explained(error)}.", "model.name"
            ) from error
        if all(gradient is None for gradient in gradients):
            raise InvalidInput(f"{what}: no parameter has a part in its outputs.", "model.name")
        frozen = tuple(name for name, value in module.named_parameters() if not value.requires_grad)
        scalars = frozenset(name for name, value in module.named_parameters() if value.ndim == 0)
        # Runs whose random numbers are their own pass one after the other.
        batched = not tried.draws and all(
            _batched(
                module.train(training), x, (*frozen, *tried.changing), tried.changing, division
            )
            for training in (True, False)
        )
        unused = tuple(
            parameter.name
            for parameter, gradient in zip(layout.parameters, gradients, strict=True)
            if gradient is None
        )
        return Examined(layout, scalars, frozen, tried.changing, tried.draws, batched, unused)


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

    Those that are frozen are not among them. What each is for follows from its axes and its name:
    two axes and more make a weight, one a bias or a scale if it is called so. Whatever is no weight
    and no bias starts as the constructor sets it. A parameter without an axis gets one.

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
            continue
        if not parameter.is_floating_point():
            raise InvalidInput(
                f"{what}: the parameter {name} is of type {parameter.dtype}; only real numbers "
                "can be trained.",
                "model.name",
            )
        if parameter.numel() == 0:
            raise InvalidInput(
                f"{what}: the parameter {name} has the shape {list(parameter.shape)}; give it at "
                "least one value.",
                "model.name",
            )
        found.append(_parameter(name, tuple(parameter.shape) or (1,)))
    if not found:
        raise InvalidInput(
            f"{what} has no parameters that are not frozen, so there is nothing to train."
            if any(True for _ in module.parameters())
            else f"{what} has no parameters, so there is nothing to train.",
            "model.name",
        )
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


class _Tried(NamedTuple):
    changing: tuple[str, ...]
    draws: bool


def _asked(module: torch.nn.Module, x: torch.Tensor, division: Division | None) -> Any:
    """Return what a module gives for examples ``x`` ``[m, …]``."""
    return module(x) if division is None else module(**division.divided(x))


def _tried(
    module: torch.nn.Module,
    x: torch.Tensor,
    shape: DataShape,
    what: str,
    division: Division | None,
) -> _Tried:
    """Return which buffers a training pass changes, and whether it draws random numbers.

    Checked: the shape fits, the inputs stay as they are, and a pass repeats itself from torch's seed
    and the buffers it began with.
    """
    before = {name: value.detach().clone() for name, value in _state(module).items()}
    given = x.clone()
    random_state = torch.get_rng_state()
    try:
        outputs = _asked(module, given, division)
        draws = not torch.equal(random_state, torch.get_rng_state())
        after = {name: value.detach().clone() for name, value in _state(module).items()}
        _put_back(module, before)
        torch.set_rng_state(random_state)
        again = _asked(module, x.clone(), division)
    except USER_ERRORS as error:
        raise InvalidInput(
            f"{what}: its forward pass failed on examples of {_shapes(x, division)} with "
            f"{explained(error)}.",
            "model.name",
        ) from error
    if not isinstance(outputs, torch.Tensor):
        raise InvalidInput(
            f"{what}: its forward pass gives a {type(outputs).__name__}, but must give one tensor.",
            "model.name",
        )
    changing = tuple(
        name for name, value in after.items() if name not in before or _differ(value, before[name])
    )
    lost = [name for name in changing if name not in before or name not in _buffers(module)]
    if lost or set(after) != set(before):
        name = lost[0] if lost else next(iter(set(before) - set(after)))
        raise InvalidInput(
            f"{what}: its forward pass changes {name}, which is no buffer that its constructor "
            "registers (register_buffer), so a run cannot keep it.",
            "model.name",
        )
    resized = [name for name in changing if after[name].shape != before[name].shape]
    if resized:
        raise InvalidInput(
            f"{what}: its forward pass gives its buffer {resized[0]} another shape; give it its "
            "full shape in the constructor.",
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
    if not torch.equal(outputs, again) or any(
        _differ(value, after[name]) for name, value in _state(module).items()
    ):
        raise InvalidInput(
            f"{what}: two training passes over the same examples differ, though torch's seed and "
            "all buffers are the same; draw random numbers with torch's own generators, and keep "
            "what a pass changes in buffers (register_buffer).",
            "model.name",
        )
    return _Tried(changing, draws)


def _shapes(x: torch.Tensor, division: Division | None) -> str:
    """Return the shape of an example, or of each of its parts, for a message."""
    if division is None:
        return f"shape {list(x.shape[1:])}"
    parts = division.divided(x).items()
    return "the shapes " + ", ".join(
        f"{name} {list(value.shape[1:])}{'' if value.is_floating_point() else ' (codes)'}"
        for name, value in parts
    )


def _put_back(module: torch.nn.Module, values: Mapping[str, torch.Tensor]) -> None:
    """Give the buffers of a module these values."""
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name in values and buffer.shape == values[name].shape:
                buffer.copy_(values[name])


def _check_evaluation(
    module: torch.nn.Module, x: torch.Tensor, what: str, division: Division | None
) -> None:
    """Check that an evaluation draws nothing, changes nothing, and takes examples one by one."""
    before = {name: value.detach().clone() for name, value in _state(module).items()}
    random_state = torch.get_rng_state()
    with torch.no_grad():
        try:
            together, alone = (
                _asked(module, x.clone(), division),
                torch.cat(
                    [_asked(module, half.clone(), division) for half in x.split(_EXAMPLES // 2)]
                ),
            )
        except USER_ERRORS as error:
            raise InvalidInput(
                f"{what}: its forward pass failed outside of training with {explained(error)}.",
                "model.name",
            ) from error
    if not torch.equal(random_state, torch.get_rng_state()):
        raise InvalidInput(
            f"{what}: it draws random numbers outside of training, too, so two evaluations would "
            "differ; draw them only where self.training is set.",
            "model.name",
        )
    changed = [name for name, value in _state(module).items() if _differ(value, before[name])]
    if changed:
        raise InvalidInput(
            f"{what}: its forward pass changes its buffer {changed[0]} outside of training, too, so "
            "looking at a run would change it; change it only where self.training is set.",
            "model.name",
        )
    if together.shape != alone.shape or not torch.allclose(
        together, alone, rtol=1e-6, atol=1e-9, equal_nan=True
    ):
        raise InvalidInput(
            f"{what}: outside of training, what it gives for one example depends on the others of "
            "its batch (batch normalization without running statistics does), so an evaluation in "
            "parts would be wrong; use running statistics, or layer or group normalization.",
            "model.name",
        )


def _batched(
    module: torch.nn.Module,
    x: torch.Tensor,
    state: Sequence[str],
    changing: Sequence[str],
    division: Division | None,
) -> bool:
    """Whether vmap over runs works, and gives what one run after the other gives."""
    names = [name for name, value in module.named_parameters() if name not in state]
    own = _state(module)
    rows = [
        (
            [own[name].detach() * factor for name in names],
            {name: own[name].detach().clone() for name in state},
        )
        for factor in (1.0, 0.5)
    ]
    with warnings.catch_warnings(), torch.no_grad():
        # torch warns where it would run one after the other in secret
        warnings.simplefilter("error")
        try:
            together, after = over_runs(module, names, changing, division)(
                [torch.stack(pair) for pair in zip(*(row for row, _ in rows), strict=True)],
                {name: torch.stack([values[name] for _, values in rows]) for name in state},
                torch.stack([x, x]),
            )
            given = [dict(zip(names, row, strict=True)) | values for row, values in rows]
            alone = [call(module, one, x, division) for one in given]
        except Exception:  # noqa: BLE001 - vmap refuses in many ways, and one run after the other is always there
            return False
    expected = [torch.stack(alone)]
    expected += [torch.stack([one[name] for one in given]) for name in changing]
    return all(
        torch.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)
        for one, other in zip([together, *after.values()], expected, strict=True)
    )


def _buffers(module: torch.nn.Module) -> frozenset[str]:
    return frozenset(name for name, _ in module.named_buffers())


def _differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return True
    return not bool(((one == other) | ((one != one) & (other != other))).all())


def _state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
