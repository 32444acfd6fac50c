"""Blocks of parameters that are updated at once.

Small parameters share a block: their gradients are copied side by side, their state lies side by
side, and what comes out moves the parameters. A large parameter is cut into blocks of its own,
which are updated where they lie.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from optlab.optim.flat.listing import GRADIENT, STATE, THETA, Listing, Operand, Operation, Traced
from optlab.optim.flat.placing import Place, Placing, placed
from optlab.optim.flat.scalars import Scalars

BLOCK_VALUES = 1 << 17
"""Values of a block, so that what a rule computes on the way stays in the cache of a core."""
APART_VALUES = 1 << 13
"""Values of a gradient, on average, from which on a call for each takes less time than copying them."""

Calls = list[Callable[[], Any]]
Fresh = Callable[[torch.Tensor], Mapping[str, torch.Tensor]]
"""Parameters ``[1, n]`` → their state before the first step, ``[1, n]`` each, in any order of n."""
_SYMMETRIC = frozenset({"add", "mul"})


class Scratch:
    """Memory for intermediate values, which all blocks of one type share.

    Args:
        dtype: of the values.
        values: of the largest block.
    """

    def __init__(self, dtype: torch.dtype, values: int) -> None:
        self._dtype = dtype
        self._values = values
        self._tensors: dict[Place, torch.Tensor] = {}

    def tensor(self, place: Place, values: int) -> torch.Tensor:
        """Return memory ``[values]``, the same one for the same place."""
        if place not in self._tensors:
            self._tensors[place] = torch.empty(self._values, dtype=self._dtype)
        return self._tensors[place][:values]


class Block(Protocol):
    """Parameters that are updated at once.

    Attributes:
        count: number of parameters.
    """

    count: int

    def step(self, gradients: list[torch.Tensor]) -> None:
        """Take one step with the gradients ``[*shape]`` of its parameters."""

    def entries(self, name: str) -> list[torch.Tensor]:
        """Return an entry of the state of each parameter, ``[*shape]``."""


class SharedBlock:
    """Small parameters side by side.

    Args:
        listing: what a step does.
        parameters: of one type.
        state: for each parameter, the tensors ``[*shape]`` of its state, which are copied, or what
            gives those without state one.
        scalars: the numbers of the listing.
        scratch: memory that blocks share.
    """

    def __init__(
        self,
        listing: Listing,
        parameters: Sequence[torch.Tensor],
        state: Sequence[Mapping[str, torch.Tensor]] | Fresh,
        scalars: Scalars,
        scratch: Scratch,
    ) -> None:
        self.count = len(parameters)
        self._parameters = list(parameters)
        values = sum(parameter.numel() for parameter in parameters)
        if callable(state):
            # All at once: tensors for each of them would be in memory, too.
            theta = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
            fresh = owned(state(theta.view(1, values)), ())
            self._flat = {name: fresh[name].view(values) for name in listing.state}
        else:
            self._flat = {
                name: torch.cat([one[name].reshape(-1) for one in state]) for name in listing.state
            }
        placing = placed(listing, copies=True)

        def memory(place: Place) -> torch.Tensor:
            if isinstance(place, str) and place.startswith(STATE):
                return self._flat[place.removeprefix(STATE)]
            return scratch.tensor(place, values)

        # The gradients of a step, in a list that stays.
        self._given: list[torch.Tensor] = []
        self._calls: Calls = []
        direct = _uses_gradient_once(listing, placing)
        apart = _scales_gradient_once(listing) if values >= APART_VALUES * self.count else None
        if direct is None and apart is None:
            gradients = self._apart(memory(GRADIENT))
            self._calls.append(functools.partial(torch._foreach_copy_, gradients, self._given))
        if THETA in listing.given:
            reads = self._apart(memory(THETA))
            self._calls.append(functools.partial(torch._foreach_copy_, reads, self._parameters))
        for operation in listing.operations:
            if operation is direct:
                # A sum takes the gradients from where they are.
                target = self._apart(memory(placing.places[operation.result]))
                function = getattr(torch, f"_foreach_{operation.name}_")
                self._calls.append(functools.partial(function, target, self._given))
            elif operation is apart:
                target = self._apart(memory(placing.places[operation.result]))
                numbers = [scalars.tensor(one) for one in operation.operands[1:]]
                function = getattr(torch, operation.name)
                given = function, self._given, numbers, target
                self._calls.append(functools.partial(_each, *given))
            else:
                self._calls.append(_operation(operation, placing, memory, scalars))
        self._calls += _copies(placing, memory)
        move = getattr(torch, f"_foreach_{listing.move}_")
        by = (
            self._given
            if listing.after == GRADIENT and direct is not None
            else self._apart(memory(placing.places[listing.after]))
        )
        self._calls.append(functools.partial(move, self._parameters, by))

    def _apart(self, flat: torch.Tensor) -> list[torch.Tensor]:
        parts = flat.split([parameter.numel() for parameter in self._parameters])
        return [
            part.view(parameter.shape)
            for part, parameter in zip(parts, self._parameters, strict=True)
        ]

    def entries(self, name: str) -> list[torch.Tensor]:
        """Return an entry of the state of each parameter, ``[*shape]``."""
        return self._apart(self._flat[name])

    def step(self, gradients: list[torch.Tensor]) -> None:
        """Take one step with the gradients ``[*shape]`` of its parameters."""
        self._given[:] = gradients
        for call in self._calls:
            call()
        self._given.clear()


class LargeBlock:
    """One large parameter, cut into pieces that are updated where they lie.

    Args:
        listing: what a step does.
        parameter: dense, in any order of its dimensions.
        state: the tensors ``[*shape]`` of its state, which are copied, or what gives it one.
        scalars: the numbers of the listing.
        scratch: memory that blocks share.
    """

    count = 1

    def __init__(
        self,
        listing: Listing,
        parameter: torch.Tensor,
        state: Mapping[str, torch.Tensor] | Fresh,
        scalars: Scalars,
        scratch: Scratch,
    ) -> None:
        self._parameter = parameter
        if callable(state):
            values, first = parameter.numel(), parameter.storage_offset()
            in_memory = parameter.detach().as_strided((1, values), (values, 1), first)
            fresh = owned(state(in_memory), (in_memory,))
            self._state = {
                name: fresh[name].as_strided(parameter.shape, parameter.stride())
                for name in listing.state
            }
        else:
            self._state = {
                name: torch.empty_like(parameter, requires_grad=False).copy_(state[name])
                for name in listing.state
            }
        placing = placed(listing, copies=False)
        self._pieces: list[tuple[int, int, torch.Tensor, torch.Tensor, Calls]] = []
        values = parameter.numel()
        self._nothing = torch.empty(0, dtype=parameter.dtype)
        for begin in range(0, values, BLOCK_VALUES):
            size = min(BLOCK_VALUES, values - begin)
            # Both get the memory of the parameter and of its gradient at each step.
            theta, gradient = torch.empty_like(self._nothing), torch.empty_like(self._nothing)
            memory = self._memory(begin, size, theta, gradient, scratch)
            calls: Calls = [_operation(one, placing, memory, scalars) for one in listing.operations]
            calls += _copies(placing, memory)
            after = memory(placing.places[listing.after])
            if listing.move != "copy":
                function = getattr(torch.Tensor, f"{listing.move}_")
                calls.append(functools.partial(function, theta, after))
            elif placing.places[listing.after] != THETA:
                calls.append(functools.partial(torch.Tensor.copy_, theta, after))
            self._pieces.append((begin, size, theta, gradient, calls))

    def _memory(
        self,
        begin: int,
        size: int,
        theta: torch.Tensor,
        gradient: torch.Tensor,
        scratch: Scratch,
    ) -> Callable[[Place], torch.Tensor]:
        def memory(place: Place) -> torch.Tensor:
            if place == THETA:
                return theta
            if place == GRADIENT:
                return gradient
            if isinstance(place, str):
                return self._state[place.removeprefix(STATE)].as_strided((size,), (1,), begin)
            return scratch.tensor(place, size)

        return memory

    def entries(self, name: str) -> list[torch.Tensor]:
        """Return an entry of the state of the parameter, ``[*shape]``."""
        return [self._state[name]]

    def step(self, gradients: list[torch.Tensor]) -> None:
        """Take one step with the gradient ``[*shape]`` of its parameter."""
        parameter, (gradient,) = self._parameter, gradients
        if gradient.stride() != parameter.stride():
            gradient = torch.empty_like(parameter).copy_(gradient)
        nothing = self._nothing.untyped_storage()
        theta_memory, theta_begin = parameter.untyped_storage(), parameter.storage_offset()
        memory, begin = gradient.untyped_storage(), gradient.storage_offset()
        for offset, size, theta, g, calls in self._pieces:
            theta.set_(theta_memory, theta_begin + offset, (size,), (1,))
            g.set_(memory, begin + offset, (size,), (1,))
            for call in calls:
                call()
            # Otherwise the memory would stay when the gradient is given up.
            theta.set_(nothing, 0, (0,), (1,))
            g.set_(nothing, 0, (0,), (1,))
        torch.autograd.graph.increment_version(parameter)


def owned(
    state: Mapping[str, torch.Tensor], others: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return a state whose tensors ``[1, n]`` have memory of their own, each to itself.

    Args:
        state: name → tensor. others: tensors of any shape whose memory it may not use.
    """
    taken = {other.untyped_storage().data_ptr() for other in others}
    owned = {}
    for name, value in state.items():
        address = value.untyped_storage().data_ptr()
        owned[name] = value.clone() if address in taken else value.contiguous()
        taken.add(address)
    return owned


def is_dense(tensor: torch.Tensor) -> bool:
    """Return whether the values of a tensor of any shape fill its memory, in any order."""
    return torch.empty_like(tensor, device="meta").stride() == tensor.stride()


def _uses_gradient_once(listing: Listing, placing: Placing) -> Operation | Listing | None:
    """Return what adds the gradient to something in place, if nothing else needs it.

    It is an operation, or the listing itself, whose result moves the parameters by the gradient.
    """
    users = [one for one in listing.operations if GRADIENT in one.operands]
    if GRADIENT in listing.state.values():
        return None
    if listing.after == GRADIENT:
        return listing if not users and listing.move != "copy" else None
    if len(users) != 1:
        return None
    (user,) = users
    first = user.operands[0]
    in_place = (
        user.name in ("add", "sub")
        and user.operands[1] == GRADIENT
        and isinstance(first, int)
        and placing.places[first] == placing.places[user.result] != GRADIENT
    )
    return user if in_place else None


def _scales_gradient_once(listing: Listing) -> Operation | None:
    """Return the operation of the gradient and numbers, if nothing else needs the gradient."""
    if GRADIENT in (*listing.state.values(), listing.after):
        return None
    users = [one for one in listing.operations if GRADIENT in one.operands]
    if len(users) != 1 or users[0].operands[0] != GRADIENT:
        return None
    numbers = users[0].operands[1:]
    return users[0] if all(isinstance(one, (float, Traced)) for one in numbers) else None


def _each(
    function: Callable[..., Any],
    given: Sequence[torch.Tensor],
    numbers: Sequence[torch.Tensor],
    target: Sequence[torch.Tensor],
) -> None:
    """Call a function of torch for each tensor ``[*shape]`` and numbers ``[]``."""
    for one, result in zip(given, target, strict=True):
        function(one, *numbers, out=result)


def _copies(placing: Placing, memory: Callable[[Place], torch.Tensor]) -> Calls:
    """Return the calls that bring results to where the state has them."""
    return [
        functools.partial(torch.Tensor.copy_, memory(STATE + name), memory(placing.places[value]))
        for name, value in placing.kept.items()
    ]


def _operation(
    operation: Operation,
    placing: Placing,
    memory: Callable[[Place], torch.Tensor],
    scalars: Scalars,
) -> Callable[[], Any]:
    target = placing.places[operation.result]

    def tensor(operand: Operand) -> torch.Tensor:
        if isinstance(operand, (str, int)):
            return memory(placing.places[operand])
        return scalars.tensor(operand)

    operands = [tensor(operand) for operand in operation.operands]
    over = [
        isinstance(operand, (str, int)) and placing.places[operand] == target
        for operand in operation.operands
    ]
    if over[-1] and operation.name in _SYMMETRIC:
        operands.reverse()
        over.reverse()
    if over[0]:
        return functools.partial(getattr(torch.Tensor, f"{operation.name}_"), *operands)
    return functools.partial(getattr(torch, operation.name), *operands, out=memory(target))
