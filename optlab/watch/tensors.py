"""The tensors of a model under the names that people know.

What wraps a model (``torch.compile``, data parallelism) puts a prefix before every name; it is
removed here, so that a run has the same series with and without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.watch.blocks import Ranges

MAX_EXACT = 65_536
"""Elements of a tensor up to which what a step changes is taken from all of them, else from as many,
evenly spaced: a copy of all weights might not fit the device.
"""
_WRAPPERS = ("_orig_mod.", "module.", "_fsdp_wrapped_module.")


@dataclass(frozen=True, eq=False)
class NamedTensor:
    """A parameter of the run.

    Attributes:
        number: its place in ``run.json``.
        name: of the parameter.
        parameter: itself, any shape.
        stride: every which element stands for the tensor where a step is compared with the one
            before; 1: all.
    """

    number: int
    name: str
    parameter: torch.nn.Parameter
    stride: int

    def sample(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the elements ``[m]`` of a tensor (of the parameter's shape) that stand for it."""
        flat = tensor.detach() if tensor.ndim == 1 else tensor.detach().reshape(-1)
        return flat if self.stride == 1 else flat[:: self.stride]

    @property
    def factor(self) -> float:
        """What the norm of a sample is multiplied by, to estimate that of the tensor."""
        if self.stride == 1:
            return 1.0
        count = self.parameter.numel()
        return math.sqrt(count / max(1, math.ceil(count / self.stride)))


def modules_by_name(model: Any) -> dict[str, torch.nn.Module]:
    """Return the modules that are watched; a single one has the name "".

    Raises:
        TypeError: it is not a module, nor several.
    """
    if isinstance(model, torch.nn.Module):
        return {"": model}
    if isinstance(model, Mapping):
        named = {str(name): module for name, module in model.items()}
    elif isinstance(model, Iterable):
        named = {str(number): module for number, module in enumerate(model, start=1)}
    else:
        named = {}
    if not named or not all(isinstance(module, torch.nn.Module) for module in named.values()):
        raise TypeError(
            "model is a torch.nn.Module, a list of them or a dictionary of them, not "
            f"{type(model).__name__}"
        )
    return named


def optimizers_by_name(optimizer: Any) -> dict[str, torch.optim.Optimizer]:
    """Return the optimizers that are watched; none where ``optimizer`` is None.

    A wrapper that holds an optimizer, as libraries make them, stands for it.

    Raises:
        TypeError: it is not an optimizer, nor several.
    """
    if optimizer is None:
        return {}
    if isinstance(optimizer, Mapping):
        named = {str(name): _inner(each) for name, each in optimizer.items()}
    elif isinstance(optimizer, list | tuple):
        named = {
            str(number) if number > 1 else "": _inner(each)
            for number, each in enumerate(optimizer, start=1)
        }
    else:
        named = {"": _inner(optimizer)}
    if not all(isinstance(each, torch.optim.Optimizer) for each in named.values()):
        raise TypeError(
            "optimizer is a torch.optim.Optimizer, a list of them or a dictionary of them, not "
            f"{type(optimizer).__name__}"
        )
    return named


def _inner(optimizer: Any) -> Any:
    inner = getattr(optimizer, "optimizer", None)
    return inner if isinstance(inner, torch.optim.Optimizer) else optimizer


def named_tensors(modules: Mapping[str, torch.nn.Module]) -> list[NamedTensor]:
    """Return the parameters of modules, each once, in order."""
    found: list[NamedTensor] = []
    seen: set[int] = set()
    for prefix, module in modules.items():
        for name, parameter in module.named_parameters():
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            plain = plain_name(name)
            found.append(
                NamedTensor(
                    len(found),
                    f"{prefix}.{plain}" if prefix else plain,
                    parameter,
                    _stride(parameter),
                )
            )
    return found


def plain_name(name: str) -> str:
    """Return the name of a parameter without the prefixes of what wraps the model."""
    changed = True
    while changed:
        changed = False
        for wrapper in _WRAPPERS:
            if name.startswith(wrapper):
                name, changed = name[len(wrapper) :], True
    return name.replace("._orig_mod.", ".").replace("._fsdp_wrapped_module.", ".")


def _stride(parameter: torch.Tensor) -> int:
    count = parameter.numel()
    if count <= MAX_EXACT:
        return 1
    stride = math.ceil(count / MAX_EXACT)
    # Not always the same columns of a matrix.
    row = max(int(parameter.shape[-1]), 1)
    while math.gcd(stride, row) != 1:
        stride += 1
    return stride


def ranges(numbers: Iterable[int]) -> Ranges:
    """Return ascending numbers as half-open ranges."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1][1] += 1
        else:
            found.append([number, number + 1])
    return tuple((first, stop) for first, stop in found)
