"""The operations of torch that a computation consists of, recorded while it takes place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.traced_number import NotRepeatable

ALLOCATIONS = frozenset(
    {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted"}
)
"""Operations that give memory and compute nothing."""
CONSTANTS = frozenset(
    {
        *("full", "full_like", "new_full", "zeros", "zeros_like", "new_zeros", "ones", "ones_like"),
        *("new_ones", "scalar_tensor", "lift_fresh", "arange", "eye"),
    }
)
"""Operations that compute the same each time."""
_READS = frozenset({"_local_scalar_dense", "item", "is_nonzero", "equal"})


@dataclass(frozen=True)
class Call:
    """One operation.

    Attributes:
        operation: an overload of ``torch.ops.aten``. arguments, keywords: as it got them. results:
            its tensors.
    """

    operation: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    results: tuple[torch.Tensor, ...]

    @property
    def name(self) -> str:
        """Name of the operation without its overload."""
        name: str = self.operation.overloadpacket.__name__
        return name

    @property
    def mutates(self) -> bool:
        """Whether it writes to one of its arguments."""
        mutates: bool = self.operation._schema.is_mutable
        return mutates

    def read(self) -> Iterator[torch.Tensor]:
        """Yield its arguments that are tensors, of any shape."""
        return tensors((self.arguments, tuple(self.keywords.values())))

    def written(self) -> list[torch.Tensor]:
        """Return the arguments that it writes to, tensors of any shape."""
        schema = self.operation._schema.arguments
        given = {
            argument.name: value for argument, value in zip(schema, self.arguments, strict=False)
        } | self.keywords
        return [
            given[argument.name]
            for argument in schema
            if argument.name in given
            and argument.alias_info is not None
            and argument.alias_info.is_write
        ]


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Give a list to which all operations inside are added, in their order.

    Every tensor is kept, so that tensors which share memory are known from others.

    Raises:
        NotRepeatable: inside, an operation draws random numbers, or what follows depends on values
            of tensors.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    calls: list[Call] = []

    class Recording(TorchDispatchMode):
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # otherwise torch imports its compiler, which takes seconds

        def __torch_dispatch__(
            self,
            func: Any,
            types: Any,
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:
            _check(func, args)
            result = func(*args, **(kwargs or {}))
            results = tuple(tensors(result))
            if not results:
                raise NotRepeatable(f"{func.overloadpacket.__name__} computes no tensor")
            calls.append(Call(func, args, dict(kwargs or {}), results))
            return result

    with Recording():  # type: ignore[no-untyped-call]
        yield calls


def _check(operation: Any, arguments: tuple[Any, ...]) -> None:
    name = operation.overloadpacket.__name__
    if torch.Tag.nondeterministic_seeded in operation.tags:
        raise NotRepeatable(f"{name} draws random numbers")
    if name in _READS or (
        torch.Tag.dynamic_output_shape in operation.tags and not _by_numbers(name, arguments)
    ):
        raise NotRepeatable(f"what follows {name} depends on the values of tensors")


def _by_numbers(name: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether values are selected by their numbers, so that it is known how many."""
    return name == "index" and all(
        one.dtype in (torch.int64, torch.int32) for one in tensors(arguments[1])
    )


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors, of any shape, of an argument or a result: one, or a list of them."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors(one)


def replaced(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return an argument with each of its tensors, of any shape, replaced."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(replaced(one, change) for one in value)
    return value


def memory_of(tensor: torch.Tensor) -> int:
    """Return what tensors of any shape that share memory have in common."""
    identity: int = tensor.untyped_storage()._cdata
    return identity
