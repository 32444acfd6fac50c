"""Watching a training loop from inside it.

The organizing idea: the loop only leaves things behind, and everything else happens elsewhere. Hooks
of the optimizer count its steps and, at some of them, leave statistics on the device; ``log`` leaves
values; a thread appends them to a folder, where the window and ``optlab FOLDER`` read them, live and
afterwards. Nothing that goes wrong here reaches the loop, and no number of the loop changes.
"""

from __future__ import annotations

import os
import statistics
import time
import weakref
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from optlab.core.lazy import torch
from optlab.watch import ending, identity
from optlab.watch.digest import BATCH, Digest
from optlab.watch.failures import Failures
from optlab.watch.loop import OptimizerLoop
from optlab.watch.rows import Column, Packed, Row, Rows
from optlab.watch.schedule import Schedule
from optlab.watch.tensors import NamedTensor, modules_by_name, named_tensors, optimizers_by_name
from optlab.watch.writer import Writer

if TYPE_CHECKING:
    from optlab.watch.probing import Probe

FLUSH_SECONDS = 0.5
"""Seconds between two writes."""
_SLOWEST_FLUSH_SECONDS = 1.0
_FLUSH_SHARE = 0.004
"""Of the time of the loop's processor that writing may take; else it is done less often, which is so
where the loop gets little of a busy machine.
"""
_LOG_SECONDS = 0.5e-6
"""What calling ``log`` costs beside what it measures itself."""
_TIMED = 16
"""Calls of ``log`` of which one is timed."""


@dataclass(frozen=True)
class Options:
    """How a run is watched; see :func:`optlab.watch.start.watch`."""

    name: str = ""
    share: float = 0.02
    every: int | None = None
    scaler: Any = None


class Watcher:
    """A training loop that is watched; :func:`optlab.watch.start.watch` makes one.

    It is a context manager, which detaches at its end. Its methods never raise: what cannot be done
    is said once on standard error and in ``watch.log`` in the folder of the run.

    Attributes:
        folder: of the run; None where nothing is watched.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._options = Options()
        self._failures = Failures()
        self._process = os.getpid()
        self._began = time.perf_counter()
        self._modules: list[weakref.ref[torch.nn.Module]] = []
        self._tensors: list[NamedTensor] = []
        self._names: dict[int, str] = {}
        self._loops: list[OptimizerLoop] = []
        self._main: OptimizerLoop | None = None
        """Whose steps are the steps of the run."""
        self._manual: OptimizerLoop | None = None
        self._met: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()
        self._handles: list[Any] = []
        self._probes: list[Probe] = []
        self._probe_seconds = 0.0
        self._rows = Rows()
        self._columns: dict[str, Column] = {}
        self._packed: deque[Packed] = deque()
        self._writer: Writer | None = None
        self._end: weakref.finalize[..., Any] | None = None
        self._flush_at = 0.0
        self._flushed_at = 0.0
        self._flushed_steps = 0
        self._logged: deque[tuple[int, dict[str, Any]]] = deque()
        self._logs = array("d")
        self._written_seconds = 0.0

    # --- setting up -------------------------------------------------------------------------------

    def start(self, model: Any, optimizer: Any, place: Path, options: Options) -> None:
        """Begin to watch.

        Args:
            model, optimizer: see :func:`optlab.watch.start.watch`.
            place: folder in which that of the run is made.
            options: the other arguments.

        Raises:
            TypeError: the model or the optimizer is something else.
            OSError: the folder cannot be made.
        """
        modules, optimizers = modules_by_name(model), optimizers_by_name(optimizer)
        self._options = options
        self._tensors = named_tensors(modules)
        self._modules = [weakref.ref(module) for module in modules.values()]
        self.folder = identity.create(place, options.name, modules, self._tensors)
        self._failures.folder = self.folder
        # The thread must not keep alive what it watches.
        hurry, state = weakref.WeakMethod(self._hurry), weakref.WeakMethod(self._state)
        self._writer = Writer(
            self.folder,
            self._failures,
            Digest(self._tensors, hurry),
            lambda: described() if (described := state()) is not None else {},
        )
        self._end = ending.prepare(self, self._writer, self._rows, self._packed)
        self._began = time.perf_counter()
        for name, each in optimizers.items():
            self._names[id(each)] = name
            self._hook(each)
        if not optimizers:
            self._meet_optimizers()
        for module in modules.values():
            _watchers.setdefault(module, []).append(self)

    def give_up(self, sentence: str, error: Exception) -> None:
        """Stop watching because of an error, and say so."""
        self._failures.say("given up", sentence, error)
        # Hooks stay where they are, and do nothing: this may be one of them.
        self.end("failed", f"{type(error).__name__}: {error}"[:500])

    def _hook(self, optimizer: torch.optim.Optimizer) -> None:
        """Have an optimizer's steps counted."""
        loop = self._add_loop(optimizer)
        self._handles.append(optimizer.register_step_post_hook(self._step_hook(loop, optimizer)))

    def _add_loop(self, optimizer: torch.optim.Optimizer | None) -> OptimizerLoop:
        name = self._names.get(id(optimizer), "")
        if not name and self._loops:
            name = str(len(self._loops) + 1)
        loop = OptimizerLoop(
            optimizer,
            f"/{name}" if name else "",
            self._tensors,
            self._rows,
            Schedule(self._options.share, self._options.every),
            self._guarded,
            self._options.scaler,
        )
        self._loops.append(loop)
        self._main = self._main or loop
        loop.arm()
        return loop

    def _step_hook(
        self, loop: OptimizerLoop, optimizer: torch.optim.Optimizer | None
    ) -> Callable[..., None]:
        """Return the hook that runs after each step, and does as little as it can."""
        clock, slow = time.perf_counter, self._guarded(self._after_step)
        groups = optimizer.param_groups if optimizer is not None else [{}]
        rate = None

        def hook(*_: Any) -> None:
            nonlocal rate
            now = clock()
            loop.times.append(now)
            loop.step = step = loop.step + 1
            if step >= loop.attend_at or now >= self._flush_at or groups[0].get("lr") is not rate:
                rate = groups[0].get("lr")
                slow(loop)

        return hook

    def _meet_optimizers(self) -> None:
        """Watch every optimizer that turns out to step a parameter of the run."""
        # The hook is torch's for all optimizers; it must not keep this run alive.
        weak = weakref.ref(self)

        def before(optimizer: Any, _arguments: Any, _options: Any) -> None:
            watcher = weak()
            if watcher is not None and optimizer not in watcher._met:
                watcher._guarded(watcher._meet)(optimizer)

        from torch.optim.optimizer import register_optimizer_step_pre_hook

        self._handles.append(register_optimizer_step_pre_hook(before))

    def _meet(self, optimizer: torch.optim.Optimizer) -> None:
        self._met.add(optimizer)
        own = {id(tensor.parameter) for tensor in self._tensors}
        stepped = [each for group in optimizer.param_groups for each in group["params"]]
        if any(id(parameter) in own for parameter in stepped):
            self._hook(optimizer)

    def _guarded(self, act: Callable[..., None]) -> Callable[..., None]:
        """Return a hook that raises nothing, and does nothing in a copy of the process."""

        def hook(*arguments: Any) -> None:
            if self._writer is None or os.getpid() != self._process:
                return
            try:
                act(*arguments)
            except Exception as error:  # noqa: BLE001 - the loop must not see it
                self.give_up("Watching has stopped, and your program goes on", error)

        return hook

    # --- the moments of a step --------------------------------------------------------------------

    def _after_step(self, loop: OptimizerLoop) -> None:
        if loop.step >= loop.attend_at:
            loop.attend()
        else:
            loop.note_rates(always=False)
        if loop is self._main:
            for probe in self._probes:
                if probe.is_due(loop.step):
                    self._run_probe(probe)
                loop.attend_at = min(loop.attend_at, probe.next_after(loop.step))
        if time.perf_counter() >= self._flush_at:
            self._flush()

    def _hurry(self) -> None:
        """Have the next steps read; called by the writer's thread."""
        for loop in tuple(self._loops):
            loop.schedule.hurry(loop.step)
            loop.attend_at = 0

    def _flush(self) -> None:
        """Give the writer what is complete; nothing is waited for."""
        # Seconds of processors: on a busy machine others' time passes, too.
        began = time.thread_time()
        calls = self._take_logged()
        for loop in self._loops:
            loop.flush()
        self._packed.append(self._rows.pack())
        while self._packed and self._packed[0].ready and self._writer is not None:
            self._writer.give(self._packed.popleft())
        writing = self._writer.spent if self._writer is not None else self._written_seconds
        wrote, self._written_seconds = writing - self._written_seconds, writing
        logs, self._logs = self._logs, array("d")
        logging = (statistics.median_low(logs) + _LOG_SECONDS) * calls if logs else 0.0
        ended = time.thread_time()
        spent, worked = ended - began, ended - self._flushed_at
        self._flushed_at = ended
        main = self._main
        if main is not None and main.step > self._flushed_steps:
            steps = main.step - self._flushed_steps
            main.each_step = (logging + spent + wrote) / steps
            main.spent += logging + spent + steps * main.step_seconds
            self._flushed_steps = main.step
        seconds = FLUSH_SECONDS * (spent + wrote) / (_FLUSH_SHARE * max(worked, 1e-6))
        seconds = min(max(seconds, FLUSH_SECONDS), _SLOWEST_FLUSH_SECONDS)
        self._flush_at = time.perf_counter() + seconds

    def _state(self) -> dict[str, Any]:
        """Return what the run says about itself; the writer's thread calls it, too."""
        writer, main = self._writer, self._main
        seconds = time.perf_counter() - self._began
        spent = sum(loop.spent for loop in self._loops)
        return {
            "step": main.step if main is not None else 0,
            "seconds": round(seconds, 3),
            "overhead": (spent + (writer.spent if writer is not None else 0.0))
            / max(seconds, 1e-9),
            "probes": round(self._probe_seconds, 3),
            "every": main.schedule.every if main is not None else 0,
            "lost": self._rows.dropped + (writer.lost if writer is not None else 0),
        }

    # --- what the loop may say --------------------------------------------------------------------

    def log(self, *, step: int | None = None, batch: Any = None, **values: Any) -> None:
        """Record numbers of the step that was taken last.

        Tensors are not waited for: a copy stays on their device until it can be read.

        Args:
            step: number of the step; by default those that the first optimizer has taken.
            batch: indices ``[B]`` of the examples of the step, a tensor or a sequence of integers;
                they are named where the loss jumps.
            values: name → number: a float, or a tensor with one element, of any shape.
        """
        if self._writer is None:
            return
        # Between two steps every line of code has left the caches: it costs several times what it
        # costs in a row. So values are kept here, and the rest is done when they are written.
        logged = self._logged
        began = 0.0 if len(logged) % _TIMED else time.perf_counter()
        try:
            if step is None:
                step = self._main.step if self._main is not None else 0
            for name, value in values.items():
                if type(value) is torch.Tensor and value.is_cpu and not value.ndim:
                    # Nothing to wait for; a copy would cost more, here and in the writer's thread.
                    values[name] = value.item()
                elif type(value) is not float:
                    values[name] = self._kept(name, value)
            logged.append((step, values))
            if batch is not None:
                is_tensor = isinstance(batch, torch.Tensor)
                kept = batch.detach().clone().reshape(-1) if is_tensor else tuple(batch)
                self._rows.append(BATCH, step, kept)
            if began:
                self._logs.append(time.perf_counter() - began)
                if began >= self._flush_at and os.getpid() == self._process:
                    self._flush()
        except Exception as error:  # noqa: BLE001 - the loop must not see it
            self._failures.say("log", "log(…) has not recorded a step", error)

    def _kept(self, name: str, value: Any) -> Any:
        """Return a value as a number or as a copy on its device; None where there is none."""
        if isinstance(value, torch.Tensor):
            if value.ndim and value.numel() != 1:
                self._failures.say(
                    f"log {name}", f"{_refused(name)}, not one of shape {tuple(value.shape)}"
                )
                return None
            copy = value.detach().clone()
            return copy.reshape(()) if value.ndim else copy
        if value is None:
            return None
        try:
            return float(value)
        except (TypeError, ValueError):
            self._failures.say(f"log {name}", f"{_refused(name)}, not {type(value).__name__}")
            return None

    def _take_logged(self) -> int:
        """Move what was logged to the rows; return the number of calls of ``log``."""
        rows: list[Row] = []
        columns = self._columns
        calls = len(self._logged)
        for _ in range(calls):
            step, values = self._logged.popleft()
            for name, value in values.items():
                if name not in columns:
                    columns[name] = Column(name)
                if type(value) is float:
                    rows.append((columns[name], step, value))
                else:
                    known = isinstance(value, torch.Tensor)
                    kept = value if known else self._kept(name, value)
                    rows += [(columns[name], step, kept)] if kept is not None else []
        self._rows.extend(rows)
        return calls

    def probe(
        self, closure: Callable[[], torch.Tensor], *, every: int = 100, slice: int = 0
    ) -> None:
        """Measure the curvature of a loss at every so many steps, from now on.

        Recorded are λ₁ of the Hessian, ``gᵀHg``, ``gᵀg``, and where the closure returns a loss for
        each example the gradient noise scale. Weights, gradients, buffers, training modes and
        random generators are afterwards as they were. It takes the time of some tens of steps.

        Args:
            closure: returns the loss on a batch, ``[]``, or the losses of its examples, ``[B]``. It
                calls the model, and does not call ``backward``.
            every: steps from one measurement to the next; 0 to measure now, once.
            slice: number of points, at least 3, of a slice of the loss along the gradient that is
                recorded as well; 0 for none.
        """
        if self._writer is None or os.getpid() != self._process:
            return
        try:
            # Imported here: most loops are not probed.
            from optlab.watch.probing import Probe

            modules = [module for weak in self._modules if (module := weak()) is not None]
            parameters = [tensor.parameter for tensor in self._tensors]
            probe = Probe(closure, modules, parameters, every, slice)
        except Exception as error:  # noqa: BLE001 - the loop must not see it
            self._failures.say("probe", "probe(…) cannot measure", error)
            return
        if every > 0:
            self._probes.append(probe)
            if self._main is not None:
                self._main.attend_at = 0
        else:
            self._run_probe(probe)

    def _run_probe(self, probe: Probe) -> None:
        began = time.perf_counter()
        step = self._main.step if self._main is not None else 0
        try:
            result = probe.measure()
        except Exception as error:  # noqa: BLE001 - the loop must not see it
            probe.every = 0
            self._failures.say("probe", "probe(…) does not measure any more", error)
            return
        self._logged.append((step, dict(result.values)))
        if result.slice is not None and self._writer is not None:
            self._writer.say({"kind": "slice", "step": step, **result.slice})
        self._probe_seconds += time.perf_counter() - began

    def step(self) -> Step:
        """Return a context manager around a step that no ``torch.optim`` optimizer takes.

        The weights change inside it; the gradients are computed before.
        """
        return Step(self)

    # --- the end ----------------------------------------------------------------------------------

    def detach(self) -> None:
        """Remove all hooks and write what is left. The loop may go on, unwatched."""
        handles, self._handles = self._handles, []
        for handle in handles:
            handle.remove()
        for loop in self._loops:
            loop.disarm()
        self.end("finished")

    def end(self, status: str, reason: str = "") -> None:
        """Write what is left, and how the run ended; what is left of the hooks does nothing.

        Args:
            status: ``finished``, ``stopped`` or ``failed``.
            reason: why, a sentence.
        """
        if self._writer is None or os.getpid() != self._process:
            return
        writer = self._writer
        try:
            self._flush()
            self._writer, self._probes = None, []
            if self._end is not None:
                self._end.detach()
            state = {**self._state(), "lost": self._rows.dropped + writer.lost}
            last = {"kind": "ended", "status": status, "reason": reason, **state}
            if not ending.finish(writer, self._rows, self._packed, last):
                sentence = f"{self.folder} did not take the last values of the run in time"
                self._failures.say("close", sentence)
        except Exception as error:  # noqa: BLE001 - the loop must not see it
            self._failures.say("end", "The end of the run was not recorded", error)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            stopped = issubclass(kind, KeyboardInterrupt)
            self.end("stopped" if stopped else "failed", f"{kind.__name__}: {error}"[:500])
        self.detach()


def _refused(name: str) -> str:
    return f"log({name}=…) records a number or a tensor with one element"


class Step:
    """A step that no optimizer takes; see :meth:`Watcher.step`."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def __enter__(self) -> None:
        watcher = self._watcher

        def begin() -> None:
            if watcher._manual is None:
                watcher._manual = watcher._add_loop(None)
            watcher._manual.before_step()

        watcher._guarded(begin)()

    def __exit__(self, *_failure: object) -> None:
        loop = self._watcher._manual
        if loop is not None:
            self._watcher._step_hook(loop, None)()


_watchers: weakref.WeakKeyDictionary[torch.nn.Module, list[Watcher]] = weakref.WeakKeyDictionary()
"""A run that nobody has a name for lives as long as its model."""
