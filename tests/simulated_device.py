"""A device beside the CPU that lies in the CPU's memory, and notes what it would have to wait for.

A GPU computes while Python goes on, until the host reads a value or writes one that lies in memory
which the driver may not use later. Tensors of the simulated device have the values of tensors of
the CPU, but claim to lie on the device ``meta``: torch and the code under test take them for those
of another device, and every operation on them comes by here.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "meta"
_READS = frozenset({"_local_scalar_dense", "item", "is_nonzero", "equal"})
_INDEXING = frozenset({"index", "index_put", "index_put_", "_index_put_impl_"})


class Transfer(NamedTuple):
    """A value that passes between host and device while the host waits.

    Attributes:
        kind: ``read`` from the device, or ``upload`` to it. operation: of torch. place: line of
            OptLab that asks for it.
    """

    kind: str
    operation: str
    place: str


class DeviceTensor(torch.Tensor):
    """A tensor of the simulated device.

    Attributes:
        values: the tensor of the CPU that holds its values.
    """

    values: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> DeviceTensor:
        made: DeviceTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=DEVICE,
        )
        made.values = values
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"DeviceTensor({self.values!r})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:  # outside of the simulation, as when a test compares
        return _execute(func, args, kwargs or {}, [])


@contextmanager
def simulated_device() -> Iterator[list[Transfer]]:
    """Give a list to which all transfers inside are added for which the host waits."""
    transfers: list[Transfer] = []

    class Operations(TorchDispatchMode):
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # otherwise torch imports its compiler

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return _execute(func, args, kwargs or {}, transfers)

    class Functions(TorchFunctionMode):
        """What torch does for tensors of the device meta without an operation."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = dict(kwargs or {})
            if func in (torch.tensor, torch.as_tensor) and _is_device(kwargs.get("device")):
                if not isinstance(args[0], torch.Tensor):
                    return func(*args, **{**kwargs, "device": "cpu"}).to(DEVICE)
            elif func is torch.Tensor.new_tensor and isinstance(args[0], DeviceTensor):
                return torch.tensor(args[1], **{"dtype": args[0].dtype, **kwargs}).to(DEVICE)
            elif func is torch.Tensor.tolist and isinstance(args[0], DeviceTensor):
                transfers.append(Transfer("read", "tolist", _place()))
                return args[0].values.tolist()
            return func(*args, **kwargs)

    with Operations(), Functions():  # type: ignore[no-untyped-call]
        yield transfers


def _is_device(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE


def _place() -> str:
    frames = [one for one in traceback.extract_stack() if "/optlab/" in one.filename]
    if not frames:
        return ""
    last = frames[-1]
    return f"{last.filename.rpartition('/optlab/')[2]}: {last.line}"


def _execute(func: Any, args: Any, kwargs: dict[str, Any], transfers: list[Transfer]) -> Any:
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    own = [one for one in tensors if isinstance(one, DeviceTensor)]
    others = [one for one in tensors if not isinstance(one, DeviceTensor)]
    kind = _transfer(func, args, kwargs, own, others)
    if kind:
        transfers.append(Transfer(kind, str(func), _place()))
    device = kwargs.get("device")
    on_device = _is_device(device) if device is not None else bool(own)
    if device is not None:
        kwargs = {**kwargs, "device": "cpu"}
    if torch.Tag.inplace_view in func.tags and own:
        # The shape that torch sees of a tensor of the device, too.
        with torch._C._DisableTorchDispatch():  # type: ignore[attr-defined]
            func(*args, **kwargs)
    of_values = {id(one.values): one for one in own}
    result = func(*tree_map(_values, args), **tree_map(_values, kwargs))
    if func._schema.is_mutable:
        given = {id(one): one for one in others} | of_values
        return tree_map(lambda one: given.get(id(one), one), result)
    if not on_device:
        return result
    return tree_map(lambda one: DeviceTensor(one) if isinstance(one, torch.Tensor) else one, result)


def _values(value: Any) -> Any:
    return value.values if isinstance(value, DeviceTensor) else value


def _transfer(
    func: Any,
    args: Any,
    kwargs: dict[str, Any],
    own: list[DeviceTensor],
    others: list[torch.Tensor],
) -> str:
    """Return which kind of transfer an operation is, "" for none.

    Raises:
        RuntimeError: tensors of both devices meet where torch does not allow it.
    """
    name, device = func.overloadpacket.__name__, kwargs.get("device")
    if not own:
        return "upload" if _is_device(device) and others and not kwargs.get("non_blocking") else ""
    if name == "copy_" and others:
        return "upload" if isinstance(args[0], DeviceTensor) else "read"
    if any(one.dim() for one in others):
        if name not in _INDEXING:
            raise RuntimeError(f"{func}: tensors on {DEVICE} and on the CPU")
        return "upload"
    to_host = device is not None and not _is_device(device)
    return "read" if to_host or name in _READS or _has_unknown_shape(func, args, kwargs) else ""


def _has_unknown_shape(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether the shape of a result depends on values."""
    if torch.Tag.dynamic_output_shape not in func.tags or kwargs.get("output_size") is not None:
        return False
    indices = tree_leaves(args[1]) if func.overloadpacket.__name__ == "index" else [None]
    return any(
        one is None or not torch.is_tensor(one) or one.dtype == torch.bool for one in indices
    )
