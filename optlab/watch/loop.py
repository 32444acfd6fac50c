"""One optimizer of the watched loop: its steps are counted, and some of them are read.

Between two readings an optimizer has one hook, which notes the time, and its parameters none. Before
a step that is to be read, each parameter gets a hook that runs when its gradient is accumulated, and
the optimizer one that runs before the step; after the step they are removed.
"""

from __future__ import annotations

import time
import weakref
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from optlab.core.lazy import torch
from optlab.watch.raw_reading import MISSING, NAME
from optlab.watch.reading import Reading
from optlab.watch.rows import Column, Rows
from optlab.watch.scaler import calling_scaler, scale_of
from optlab.watch.schedule import Schedule
from optlab.watch.tensors import NamedTensor, ranges

STEP_SECONDS = 2e-6
"""What the hook of a step costs."""
HOOK_SECONDS = 1e-6
"""What the hook of a parameter costs in the backward pass of a step that is read."""
LEFT_SECONDS = 0.7e-6
"""What it costs at every step from then on: torch asks the place where it was."""
_INTERVALS = 31
"""Steps whose times tell how long a step takes."""

Guard = Callable[[Callable[..., None]], Callable[..., None]]


class OptimizerLoop:
    """The steps of one optimizer.

    Args:
        optimizer: None for a loop that changes the weights itself.
        suffix: what tells its series from those of another optimizer.
        tensors: all parameters of the run.
        rows: receives the values.
        schedule: decides which steps are read.
        guard: keeps what a hook raises from the loop.
        scaler: gradient scaler, where it was named.

    Attributes:
        step: number of steps taken.
        times: ``perf_counter`` after each step since the last :meth:`flush`.
        attend_at: first step after which :meth:`attend` has something to do.
        spent: seconds that watching has taken, beside those of the hook of each step.
        each_step: seconds that watching takes at every step, beside those of hooks.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer | None,
        suffix: str,
        tensors: Sequence[NamedTensor],
        rows: Rows,
        schedule: Schedule,
        guard: Guard,
        scaler: Any = None,
    ) -> None:
        self.step = 0
        self.times = array("d")
        self.attend_at: float = 0
        self.spent = 0.0
        self.each_step = 0.0
        self.schedule = schedule
        self._optimizer = optimizer
        self._suffix = suffix
        self._all = tuple(tensors)
        self._rows = rows
        self._guard = guard
        self._guarded_gradient = guard(self._gradient_ready)
        self._scaler = scaler
        self._began = time.perf_counter()
        self._seconds = Column(f"seconds{suffix}")
        self._lr = Column(f"lr{suffix}")
        self._scale = Column(f"amp_scale{suffix}")
        self._rates: list[Any] = []
        self._count = -1
        self._groups: list[_Group] = []
        self._readings: list[Reading] = []
        self._hooks: list[Any] = []
        self._hooked = 0
        self._resumed = bool(optimizer is not None and optimizer.state)
        self._armed = False
        self._reading_seconds = 0.0
        self._arming_seconds = 0.0
        self._flushed = 0
        self._recent: list[float] = []
        self._ready: set[tuple[int, int]] = set()
        distributed = torch.distributed
        self._shared = bool(
            distributed.is_available()
            and distributed.is_initialized()
            and distributed.get_world_size() > 1
        )

    @property
    def step_seconds(self) -> float:
        """Seconds that hooks take at every step, read or not."""
        return STEP_SECONDS + LEFT_SECONDS * self._hooked

    # --- arming -----------------------------------------------------------------------------------

    def arm(self) -> None:
        """Prepare the reading of the next step."""
        began = time.perf_counter()
        self._regroup()
        self._readings, self._ready = [], set()
        for number, group in enumerate(self._groups):
            self._readings.append(Reading(group.tensors, group.missing, group.zero))
            for place, tensor in enumerate(group.tensors):
                if tensor.parameter.requires_grad and tensor.parameter.is_leaf:
                    hook = self._gradient_hook(number, place)
                    self._hooks.append(tensor.parameter.register_post_accumulate_grad_hook(hook))
        self._hooked = len(self._hooks)
        if self._optimizer is not None:
            before = self._guard(lambda *_: self.before_step())
            self._hooks.append(self._optimizer.register_step_pre_hook(before))
        self._armed = True
        self.attend_at = self.step + 1
        self._arming_seconds = time.perf_counter() - began + HOOK_SECONDS * len(self._hooks)

    def disarm(self) -> None:
        """Remove the hooks of the parameters."""
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook.remove()
        self._armed = False

    def _regroup(self) -> None:
        """Find the parameters of the optimizer anew, if it has other ones than before."""
        groups = self._optimizer.param_groups if self._optimizer is not None else []
        count = sum(len(group["params"]) for group in groups)
        if count == self._count:
            return
        self._count = count
        ids = {id(parameter) for group in groups for parameter in group["params"]}
        by_device: dict[Any, list[NamedTensor]] = {}
        for tensor in self._all:
            if self._optimizer is None or id(tensor.parameter) in ids:
                by_device.setdefault(tensor.parameter.device, []).append(tensor)
        self._groups = [
            _Group(device, tensors, self._suffix) for device, tensors in by_device.items()
        ]

    def _gradient_hook(self, reading: int, tensor: int) -> Callable[[torch.Tensor], None]:
        """Return the hook of a parameter, by the places of its reading and of itself."""
        # The collector does not see through a parameter to its hooks: they must keep nothing alive.
        weak = weakref.ref(self)

        def hook(_parameter: torch.Tensor) -> None:
            loop = weak()
            if loop is not None:
                loop._guarded_gradient(reading, tensor)

        return hook

    def _gradient_ready(self, reading: int, tensor: int) -> None:
        if not self._armed:
            return
        if not self._ready or (reading, tensor) in self._ready:  # the pass before has failed
            # One call for all of them costs less, and parallel modules have averaged them by then.
            act = self._guard(self._gradients_ready)
            at_end_of_backward((lambda: at_end_of_backward(act)) if self._shared else act)
        self._ready.add((reading, tensor))

    def _gradients_ready(self) -> None:
        """Note the gradients that a backward pass has left, before anything clips them."""
        began = time.perf_counter()
        ready, self._ready = self._ready, set()
        if self._armed and not self._is_captured():
            with torch.no_grad():
                for number, (reading, group) in enumerate(
                    zip(self._readings, self._groups, strict=True)
                ):
                    reading.gradients_ready(
                        group.tensors
                        if self._shared
                        else [group.tensors[place] for of, place in ready if of == number]
                    )
        self._reading_seconds += time.perf_counter() - began

    def _is_captured(self) -> bool:
        return any(is_captured(group.missing) for group in self._groups)

    # --- the moments of a step --------------------------------------------------------------------

    def before_step(self) -> None:
        """Note what the optimizer is given in a step that is read."""
        if not self._armed or self._is_captured():
            return
        began = time.perf_counter()
        self._ready = set()
        with torch.no_grad():
            if self._scaler is None:
                self._scaler = calling_scaler()
            scale = None if self._scaler is None else scale_of(self._scaler)
            if scale is not None:
                self._rows.append(self._scale, self.step + 1, scale)
            applied_scale = getattr(self._optimizer, "grad_scale", None)
            state = self._optimizer.state if self._optimizer is not None else {}
            for reading, group in zip(self._readings, self._groups, strict=True):
                device = group.missing.device
                reading.before_step(
                    state,
                    self._moment_scale(),
                    None if scale is None else scale.to(device, non_blocking=True),
                    applied_scale.to(device, non_blocking=True)
                    if isinstance(applied_scale, torch.Tensor)
                    else None,
                )
        self._reading_seconds += time.perf_counter() - began

    def attend(self) -> None:
        """Complete the reading of the step that was just taken, and prepare that of the next."""
        if self._is_captured():
            return
        began, step = time.perf_counter(), self.step
        read = self._armed
        self.note_rates(always=read)
        if read:
            if not self.schedule.knows_steps:
                # The first write comes late: until then steps would be read too often.
                self._tell_schedule()
            with torch.no_grad():
                for reading, group in zip(self._readings, self._groups, strict=True):
                    left = reading.after_step()
                    if left is not None:
                        self._rows.append(group.column, step, left)
            self.disarm()
            cost = time.perf_counter() - began + self._reading_seconds + self._arming_seconds
            self.schedule.read(step, cost, self.each_step + self.step_seconds)
        if self.schedule.is_due(step + 1):
            self.arm()
        else:
            self.attend_at = self.schedule.next - 1
        self.spent += time.perf_counter() - began + self._reading_seconds
        self._reading_seconds = 0.0

    def flush(self) -> None:
        """Keep the times of the steps as a series, and tell the schedule how long steps take."""
        if not self.times:
            return
        self._tell_schedule()
        times, self.times = self.times, array("d")
        self._recent = [*self._recent, *times[-_INTERVALS:]][-_INTERVALS:]
        first = self._flushed + 1
        self._flushed += len(times)
        self._rows.append(self._seconds, first, (times, self._began))

    def _tell_schedule(self) -> None:
        """Tell the schedule how long the last steps have taken."""
        recent = [*self._recent, *self.times[-_INTERVALS:]][-_INTERVALS:]
        self.schedule.passed(
            [later - before for before, later in zip(recent[:-1], recent[1:], strict=True)]
        )

    def note_rates(self, *, always: bool) -> None:
        """Keep the learning rates of all groups, if they have changed or ``always``."""
        if self._optimizer is None:
            return
        rates = [group.get("lr") for group in self._optimizer.param_groups]
        if isinstance(rates[0], torch.Tensor):
            # On the device, where comparing it would wait; the first group stands for all.
            if always:
                self._rows.append(self._lr, self.step, rates[0].detach().clone())
            return
        if (rates == self._rates and not always) or not all(
            isinstance(rate, float | int) for rate in rates
        ):
            return
        if len(rates) != len(self._rates) and len(rates) > 1:
            labels = tuple(f"group {number}" for number in range(1, len(rates) + 1))
            self._lr = Column(self._lr.name, labels=labels)
        self._rates = rates
        self._rows.append(self._lr, self.step, rates if len(rates) > 1 else rates[0])

    def _moment_scale(self) -> float:
        """Return what corrects the bias of second moments that began at zero."""
        if self._optimizer is None or self._resumed or self.step == 0:
            return 1.0
        betas = self._optimizer.param_groups[0].get("betas")
        if not isinstance(betas, tuple | list) or len(betas) < 2:
            return 1.0
        beta = betas[1]
        if not isinstance(beta, float) or not 0.0 < beta < 1.0:
            return 1.0
        return float(1.0 / (1.0 - beta**self.step))


class _Group:
    """The tensors of one device that the optimizer steps.

    Attributes:
        tensors: they.
        column: the series of their readings.
        missing, zero: numbers ``[]`` on the device; the first stands for "not known".
    """

    def __init__(self, device: Any, tensors: list[NamedTensor], suffix: str) -> None:
        double = tensors[0].parameter.dtype == torch.float64
        dtype = torch.float64 if double else torch.float32
        self.tensors = tensors
        self.column = Column(
            f"{NAME}_by_tensor{suffix}", ranges(tensor.number for tensor in tensors)
        )
        self.missing = torch.full((), MISSING, device=device, dtype=dtype)
        self.zero = torch.zeros_like(self.missing)


def at_end_of_backward(act: Callable[[], None]) -> None:
    """Have a function called at the end of the backward pass that is in progress.

    Data parallelism averages gradients in such a call. One that is made in such a call comes later.
    """
    # Private, and what torch's own parallel modules use.
    torch.autograd.Variable._execution_engine.queue_callback(act)


def is_captured(tensor: torch.Tensor) -> bool:
    """Return whether a graph of the device of a tensor (any shape) is being recorded.

    What runs then, runs at each of its replays.
    """
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()
