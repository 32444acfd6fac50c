"""What an instrument is: a quantity that is costly to compute, so that users switch it on.

Each instrument has its own schedule. It computes a reading from a :class:`StepContext`; a quantity
that several instruments need is computed once. A reading holds values for every run: one number
each, or K numbers with names (of layers, eigenvalues, time steps), or arrays to be drawn. A reading
never changes the training: it only reads, and its random numbers come from generators of its own.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from optlab.core import registry
from optlab.core.component import Component, Section
from optlab.core.data import DataShape, LearningTask
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, integer, shown
from optlab.core.layout import Layout
from optlab.core.lazy import torch

PartName = Literal["training", "validation"]

INSTRUMENTS = "instruments"
"""The section of an experiment that holds a table for each instrument that is switched on."""
QUARTILES = ("minimum", "lower quartile", "median", "upper quartile", "maximum")
"""Names of the five numbers that :func:`quartiles` returns."""


@dataclass(frozen=True)
class Quantity:
    """One series of an instrument.

    Attributes:
        name: name of the series, after that of the instrument and a dot (``"ghg"`` of
            ``conditioning`` is the series ``conditioning.ghg``).
        label: text for an axis or a legend.
        log: whether its natural axis is logarithmic.
        vector: whether it has K numbers for each run.
        axis: label of an axis that it shares with the other quantities of this axis; "" for an axis
            of its own.
    """

    name: str
    label: str
    log: bool = False
    vector: bool = False
    axis: str = ""


@dataclass(frozen=True)
class Named:
    """K numbers for each run, ``values`` ``[R, K]``, and their names."""

    values: torch.Tensor
    names: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """The result of an instrument at one step.

    Attributes:
        series: name of a :class:`Quantity` → ``[R]``, or :class:`Named`. A quantity that does not
            exist is left out; NaN marks a single run that has none.
        draw: returns the picture, name → array ``[R, …]``; called only for readings that are shown.
            None where there is nothing to draw.
    """

    series: Mapping[str, torch.Tensor | Named]
    draw: Callable[[], Mapping[str, torch.Tensor]] | None = None

    @property
    def picture(self) -> Mapping[str, torch.Tensor]:
        """Return the picture, name → array ``[R, …]``; empty where there is none."""
        return {} if self.draw is None else self.draw()


@dataclass(frozen=True)
class Ends:
    """Extreme eigenvalues, with their eigenvectors.

    Attributes:
        top: the largest, ``[R, k]``, descending.
        bottom: the smallest, ``[R, l]``, ascending.
        vectors: eigenvectors ``[R, k + l, P]``.
        products: number ``[R]`` of Hessian products computed.
        converged: ``[R]`` bool.
    """

    top: torch.Tensor
    bottom: torch.Tensor
    vectors: torch.Tensor
    products: torch.Tensor
    converged: torch.Tensor


@dataclass(frozen=True)
class Stability:
    """Up to which curvature the rules that run are stable on a quadratic, at their present rates.

    Attributes:
        largest: the largest stable eigenvalue ``[R]`` of D⁻¹H; NaN for a rule without a bound.
        preconditioner: D, ``[R, P]``, one where a rule has none; None where no rule has one.
    """

    largest: torch.Tensor
    preconditioner: torch.Tensor | None


@dataclass(frozen=True)
class Setting:
    """Properties of an experiment that are known before it starts, for :meth:`Instrument.refusal`.

    Attributes:
        shape: shape of the problem as the model sees it.
        parameters: number of parameters P.
        validation: whether there is a validation part.
        clips: whether gradients are clipped.
        probabilities: whether the outputs predict class probabilities.
        sequence: whether an example is a sequence, steps × values.
    """

    shape: DataShape
    parameters: int
    validation: bool
    clips: bool
    probabilities: bool
    sequence: bool


class StepContext(Protocol):
    """The quantities from which instruments compute readings, after a step or between two steps.

    The batch is that of the last step, or between two steps that of the next one. All tensors have
    a leading run axis.

    Attributes:
        step: number of steps so far, including the last one.
        stepped: whether the context belongs to a step that was just taken.
        theta: parameters ``[R, P]`` at which the gradient of the batch is computed.
        before: parameters ``[R, P]`` before the last step.
        after: parameters ``[R, P]`` after the last step; the three are equal before the first step.
        rate: learning rates ``[R]``.
    """

    step: int
    stepped: bool
    theta: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    rate: torch.Tensor

    @property
    def layout(self) -> Layout:
        """Return the layout of the parameters."""

    @property
    def activation(self) -> str:
        """Return the name of the model's activation, "" where it has no such field."""

    @property
    def expected_orders(self) -> Sequence[float | None]:
        """Return for each run the order of convergence that its sampling order makes possible.

        See :meth:`optlab.catalogue.batches.base.Batches.expected_order`.
        """

    @property
    def objectives(self) -> Sequence[int]:
        """Return for each run a number that it shares with the runs of the same data and loss."""

    @property
    def stability(self) -> Stability | None:
        """Return where the rules are stable; None before the first step, or without any bound."""

    @property
    def gradient(self) -> torch.Tensor:
        """Return the gradient ``[R, P]`` of the objective on the batch at ``theta``."""

    @property
    def batch_value(self) -> torch.Tensor:
        """Return the objective ``[R]`` on the batch at ``theta``."""

    def value(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the objective ``[R]`` on the batch at any parameters ``[R, P]``."""

    def objective(self) -> torch.Tensor:
        """Return the objective ``[R]`` on the entire training set, at ``after``."""

    def along(self, v: torch.Tensor) -> torch.Tensor:
        """Return ``vᵀHv`` ``[R]`` for ``v`` ``[R, P]``; H is the Hessian on the batch at theta."""

    def ends(
        self,
        top: int,
        bottom: int,
        *,
        start: torch.Tensor | None,
        tolerance: float,
        most: int,
        examples: int,
        preconditioner: torch.Tensor | None = None,
    ) -> Ends:
        """Compute extreme eigenvalues of the Hessian at ``theta``.

        Args:
            top: how many of the largest.
            bottom: how many of the smallest.
            start: vectors ``[R, k, P]`` to start from, or None.
            tolerance: error relative to the largest absolute eigenvalue.
            most: Hessian products to compute at most.
            examples: how many of the first training examples the Hessian is computed on; 0 for the
                batch.
            preconditioner: D ``[R, P]``, positive; then the eigenvalues are those of D⁻¹H, and the
                vectors those of D^−½HD^−½, which has the same ones.
        """

    def eigenvalues(self, examples: int) -> torch.Tensor:
        """Return all eigenvalues, ``[R, P]``, ascending; NaN where not available. For small P."""

    def trace(self, probes: int, examples: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimate the trace of the Hessian and its standard error, both ``[R]``."""

    def density(
        self, probes: int, steps: int, examples: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Estimate the spectral density of the Hessian.

        Returns:
            Grid ``[R, G]``, density ``[R, G]``, and the moments ``tr(Hʲ)/P`` for j = 0, 1, …,
            ``[R, J]``.
        """

    def examples_of_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the gradients of single examples at ``theta``, without weight decay.

        Returns:
            Squared norms ``[R, m]`` of the gradient of each example's loss, and the mean gradient
            ``[R, P]``.
        """

    def traced(self) -> Sequence[tuple[str, torch.Tensor]]:
        """Return name and value ``[R, m, …]`` of each intermediate result of the forward pass.

        The pass is that of the batch at ``theta``.
        """

    def by_time(self) -> tuple[torch.Tensor, str]:
        """Compute gradient norms by time step.

        Returns:
            The mean ``[R, T]`` over the examples, and the variable: ``state`` or ``input``.
        """

    def probabilities(self, part: PartName) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Compute predicted class probabilities at ``after``.

        Returns:
            Probabilities ``[R, n, classes]``, and classes ``[n]``, or ``[R, n]`` where runs have
            different data; None where the part is empty.
        """

    def margins(self, part: PartName) -> torch.Tensor | None:
        """Compute the output of the correct class minus the largest of the others at ``after``.

        Returns:
            ``[R, n]``; None where the part is empty.
        """


class Instrument(Component):
    """Base of all instruments.

    Class attributes:
        gives: its series.
        draws: what its picture shows, "" where it has none.
        tasks: tasks for which it exists.
        usual: whether it belongs to the default selection of instruments.
        of_examples: whether it needs the gradients of single examples.
        watches: name of a step measure that is passed to :meth:`watch` at every step, "" for none.
        keeps_tensors: whether a reading keeps tensors of its context longer than it takes, in its
            memory or for its picture. Where no due reading does, they are not copied, and later
            steps overwrite them.
    """

    kind: ClassVar[str] = "instrument"
    section: ClassVar[Section] = Section(
        title="Instrument",
        plural="Instruments",
        chapter="Instruments",
        order=210,
        per_experiment="several",
    )

    gives: ClassVar[tuple[Quantity, ...]] = ()
    draws: ClassVar[str] = ""
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes", "regression")
    usual: ClassVar[bool] = False
    of_examples: ClassVar[bool] = False
    watches: ClassVar[str] = ""
    keeps_tensors: ClassVar[bool] = True

    every: int = integer(
        0,
        "Every",
        unit="steps",
        ge=0,
        help="Steps between two readings; 0 for readings on a pause and at the end only.",
    )

    @abstractmethod
    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        """Take a reading.

        Args:
            context: quantities of the step.
            memory: state of the instrument, empty when it is switched on and kept from one reading
                to the next.
        """

    @abstractmethod
    def cost(self) -> str:
        """Return the cost of a reading in plain training steps, to complete "a reading costs …"."""

    def begin(self, theta: torch.Tensor, memory: dict[str, Any]) -> None:
        """Prepare the memory when the instrument is switched on.

        Args:
            theta: parameters ``[R, P]`` at that step; NaN for a run whose start is not known.
            memory: state of the instrument.
        """

    def watch(self, row: torch.Tensor, index: int, memory: dict[str, Any]) -> None:
        """Receive the step measure that the instrument :attr:`watches`.

        Called at every step, so it must be fast.

        Args:
            row: values ``[M, R]`` of the step measures.
            index: index of the measure in the first axis.
            memory: state of the instrument.
        """

    def remembered(self, memory: dict[str, Any]) -> Mapping[str, torch.Tensor]:
        """Return what a snapshot must hold of the memory, so that a resumed run continues exactly.

        Returns:
            Name → ``[R]``; put back into the memory on resume.
        """
        return {}

    def refusal(self, setting: Setting) -> str:
        """Return why it does not exist for an experiment, as a sentence; "" where it exists."""
        return ""

    def derived_facts(self) -> tuple[str, ...]:
        if self.every == 0:
            when = "it is recorded on a pause and at the end"
        else:
            when = (
                "it is recorded at every step"
                if self.every == 1
                else f"it is recorded every {self.every:,} steps"
            )
        return (f"{when}, and a reading costs {self.cost()}.",)


def schedule(default: int, why: str) -> Any:
    """Declare the field ``every`` with another default."""
    return integer(
        default,
        "Every",
        unit="steps",
        ge=0,
        le=10**9,
        log=False,
        slider=(0, 1000),
        help="Steps between two readings; 0 for readings on a pause and at the end only.",
        why=why,
    )


def quartiles(values: torch.Tensor) -> Named:
    """Compute the five numbers of :data:`QUARTILES` of ``values`` ``[R, n]``.

    Interpolates linearly between neighbors.
    """
    ordered = values.sort(dim=1).values
    low, high, share = _between(ordered.shape[1], values.dtype, values.device)
    return Named(ordered.index_select(1, low).lerp(ordered.index_select(1, high), share), QUARTILES)


@functools.lru_cache(maxsize=64)
def _between(
    count: int, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the positions of the quartiles among ``count`` sorted numbers.

    Returns:
        Indices ``[5]`` of the neighbors below and above, and the distance ``[5]`` from the lower
        one.
    """
    positions = [share * (count - 1) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    low = torch.tensor([math.floor(position) for position in positions], device=device)
    high = torch.tensor([math.ceil(position) for position in positions], device=device)
    share = torch.tensor([position % 1.0 for position in positions], dtype=dtype, device=device)
    return low, high, share


def histogram(values: torch.Tensor, bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute a histogram of ``values`` ``[R, n]`` for each run.

    Returns:
        Edges ``[R, bins + 1]`` from the smallest to the largest value, and counts ``[R, bins]``.
    """
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    width = (high - low).clamp_min(torch.finfo(values.dtype).tiny)
    index = ((values - low) / width * bins).nan_to_num(0.0).long().clamp(0, bins - 1)
    counts = torch.zeros(len(values), bins, dtype=values.dtype, device=values.device)
    counts.scatter_add_(1, index, torch.ones_like(values))
    return low + width * torch.linspace(
        0.0, 1.0, bins + 1, dtype=values.dtype, device=values.device
    ), counts


def declared(name: str) -> type[Instrument]:
    """Return the instrument class of this name.

    Raises:
        InvalidInput: there is no instrument of this name.
    """
    known = registry.names("instrument")
    if name not in known:
        raise InvalidInput(
            f"No instrument is called {shown(name)}{did_you_mean(name, known)}; "
            f"known are: {', '.join(known)}.",
            f"{INSTRUMENTS}.{name}",
        )
    return registry.get(Instrument, name)


def chosen(tables: Mapping[str, Any]) -> tuple[Instrument, ...]:
    """Return the instruments that the tables below ``[instruments]`` switch on.

    They are in the order of the catalogue.

    Raises:
        InvalidInput: there is no such instrument, or a field's value is not allowed.
    """
    built: dict[str, Instrument] = {}
    for name, values in tables.items():
        where = f"{INSTRUMENTS}.{name}"
        instrument = declared(name)
        if not isinstance(values, Mapping):
            raise InvalidInput(
                f"{where} is {shown(values)}, but it must be a section, [{where}] with its fields "
                "below.",
                where,
            )
        built[name] = instrument.build(values, where)
    if len(built) < 2:
        return tuple(built.values())
    return tuple(built[name] for name in registry.names("instrument") if name in built)


def instrument_of(field: str) -> str:
    """Return the instrument to which the dotted path of a field belongs, or ""."""
    section, name, *_ = *field.split("."), "", ""
    return name if section == INSTRUMENTS else ""
