"""Calling a module of the user's with the parameters and the state of a run.

What belongs to a run beside its trained parameters is passed in and handed back, so that the module
itself keeps nothing: frozen parameters, and the buffers that a training pass changes. What is drawn
comes from torch's generators, which are seeded for the pass and put back after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from optlab.core.lazy import torch
from optlab.outside.own_models.division import Division

Values = dict[str, "torch.Tensor"]
"""Name in the module → value."""

_seeding = threading.Lock()
"""Torch's generators belong to the process, and sessions may run in several of its threads."""


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw all random numbers of torch inside from generators with this seed."""
    with _seeding:
        sources = [torch.default_generator]
        if device.type == "cuda":
            torch.cuda.init()
            number = torch.cuda.current_device() if device.index is None else device.index
            sources.append(torch.cuda.default_generators[number])
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        states = [source.get_state() for source in sources]
        try:
            for source in sources:
                source.manual_seed(seed)
            yield
        finally:
            for source, state in zip(sources, states, strict=True):
                source.set_state(state)


def call(
    module: torch.nn.Module, given: Values, x: torch.Tensor, division: Division | None = None
) -> Any:
    """Return what the module gives for ``x`` ``[m, …]`` with these parameters and buffers.

    Buffers that the pass changes are changed, or replaced, in ``given``.

    Args:
        module: to call. given: parameters and buffers. x: inputs. division: how they are divided
            among the arguments of the forward pass; None where it takes them as one.
    """
    if division is None:
        return torch.func.functional_call(module, given, (x,))
    return torch.func.functional_call(module, given, (), division.divided(x))


def over_runs(
    module: torch.nn.Module,
    names: Sequence[str],
    changing: Sequence[str],
    division: Division | None = None,
) -> Callable[..., Any]:
    """Return a function that passes through the module once for several runs.

    It maps parameters ``[R, *shape]``, state ``[R, *shape]`` by name and ``x`` ``[R, m, …]`` to
    outputs ``[R, m, outputs]`` and the values ``[R, *shape]`` of ``changing`` after the pass.
    """

    def one(parameters: list[torch.Tensor], state: Values, x: torch.Tensor) -> Any:
        given = dict(zip(names, parameters, strict=True)) | state
        outputs = call(module, given, x, division)
        return outputs, {name: given[name] for name in changing}

    found: Callable[..., Any] = torch.func.vmap(one)
    return found


class Constants:
    """The buffers of a module that belong to no run, watched for changes.

    Args:
        module: that has them. state: names of those that belong to a run.
    """

    def __init__(self, module: torch.nn.Module, state: Sequence[str]) -> None:
        self._module = module
        self._known = {
            name: (buffer, buffer._version)
            for name, buffer in module.named_buffers()
            if name not in state
        }

    def changed(self) -> str:
        """Return the name of a buffer that a pass has changed or replaced; "" where none has."""
        if not self._known:
            return ""
        now = dict(self._module.named_buffers())
        for name, (buffer, version) in self._known.items():
            if now.get(name) is not buffer or buffer._version != version:
                return name
        return ""
