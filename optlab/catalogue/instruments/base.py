"""What an instrument is: a quantity that costs something, taken on a schedule of its own and
switched on by whoever wants to see it.

An instrument is given a :class:`StepContext`, through which it asks for what it needs; what several
instruments ask for is computed once. It answers with values for every run: one number each, or K
numbers with names (of layers, eigenvalues, time steps), or arrays to be drawn. Taking it never
changes the training: it only reads, and what it draws comes from generators of its own.
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
"""The section of an experiment that holds a table for each instrument that is on."""
QUARTILES = ("minimum", "lower quartile", "median", "upper quartile", "maximum")
"""Names of the five numbers that :func:`quartiles` gives."""


@dataclass(frozen=True)
class Quantity:
    """One series that an instrument gives.

    Attributes:
        name: of the series, behind the instrument's and a dot (``"ghg"`` of ``conditioning`` is the
            series ``conditioning.ghg``).
        label: words for an axis or a legend. log: whether its natural axis is logarithmic. vector:
            whether it has K numbers a run.
    """

    name: str
    label: str
    log: bool = False
    vector: bool = False


@dataclass(frozen=True)
class Named:
    """K numbers a run, ``values`` ``[R, K]``, and what each is called."""

    values: torch.Tensor
    names: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """What an instrument found.

    Attributes:
        series: name of a :class:`Quantity` → ``[R]``, or :class:`Named`; what does not exist here
            is left out, or NaN for a run that has none.
        draw: gives the picture, name → array ``[R, …]``; asked only of the readings that are shown.
            None where there is nothing to draw.
    """

    series: Mapping[str, torch.Tensor | Named]
    draw: Callable[[], Mapping[str, torch.Tensor]] | None = None

    @property
    def picture(self) -> Mapping[str, torch.Tensor]:
        """The picture, empty where there is none."""
        return {} if self.draw is None else self.draw()


@dataclass(frozen=True)
class Ends:
    """Eigenvalues at the ends of the spectra, with their vectors: ``top`` ``[R, k]``, falling,
    ``bottom`` ``[R, l]``, rising; vectors ``[R, k + l, P]``.

    ``products``: Hessian products taken, ``[R]``. ``converged``: ``[R]`` bool.
    """

    top: torch.Tensor
    bottom: torch.Tensor
    vectors: torch.Tensor
    products: torch.Tensor
    converged: torch.Tensor


@dataclass(frozen=True)
class Setting:
    """What is known of an experiment before it starts, for :meth:`Instrument.refusal`.

    Attributes:
        shape: of the problem as the model sees it. parameters: P. validation: whether there is a
            validation part.
        clips: whether gradients are clipped. probabilities: whether the outputs predict class
            probabilities.
        sequence: whether an example is a sequence, steps × values.
    """

    shape: DataShape
    parameters: int
    validation: bool
    clips: bool
    probabilities: bool
    sequence: bool


class StepContext(Protocol):
    """What an instrument can ask for: one step that was just taken, or the parameters as they stand
    between two steps.

    The batch is that of the step taken, or of the step to come. Everything has a leading run axis.

    Attributes:
        step: steps taken, that one included. stepped: whether a step was just taken.
        theta: ``[R, P]``, where the gradient of the batch is taken. before, after: parameters on
            either side of the last step; all three are the same before the first. rate: learning
            rates ``[R]``.
    """

    step: int
    stepped: bool
    theta: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    rate: torch.Tensor

    @property
    def layout(self) -> Layout:
        """How parameters divide into tensors."""

    @property
    def activation(self) -> str:
        """Name of the model's activation, "" where it has none that is a field."""

    @property
    def gradient(self) -> torch.Tensor:
        """Gradient ``[R, P]`` of the objective on the batch at ``theta``."""

    @property
    def here(self) -> torch.Tensor:
        """The objective ``[R]`` on the batch at ``theta``."""

    def value(self, theta: torch.Tensor) -> torch.Tensor:
        """The objective ``[R]`` on the batch, anywhere."""

    def objective(self) -> torch.Tensor:
        """The objective ``[R]`` on the whole training set, at ``after``."""

    def along(self, v: torch.Tensor) -> torch.Tensor:
        """``vᵀHv`` ``[R]`` with the Hessian on the batch at ``theta``."""

    def ends(
        self,
        top: int,
        bottom: int,
        *,
        start: torch.Tensor | None,
        tolerance: float,
        most: int,
        examples: int,
    ) -> Ends:
        """Extreme eigenvalues of the Hessian at ``theta`` on the batch (``examples`` 0) or on the
        first so many training examples.
        """

    def eigenvalues(self, examples: int) -> torch.Tensor:
        """All of them, ``[R, P]``, rising; NaN where they cannot be had. For small P."""

    def trace(self, probes: int, examples: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Trace of the Hessian and its standard error, both ``[R]``."""

    def density(
        self, probes: int, steps: int, examples: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Spectral density on a grid, both ``[R, G]``, and the moments ``tr(Hʲ)/P`` for j = 0, 1,
        …, ``[R, J]``.
        """

    def examples_of_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Squared norms ``[R, m]`` of the gradients of each example's loss at ``theta``, and the
        mean gradient ``[R, P]``; without weight decay.
        """

    def traced(self) -> Sequence[tuple[str, torch.Tensor]]:
        """Name and value ``[R, m, …]`` of each intermediate result of the forward pass for the
        batch at ``theta``.
        """

    def by_time(self) -> tuple[torch.Tensor, str]:
        """Gradient norms by time step ``[R, T]``, the mean over the examples, and by what:
        ``state`` or ``input``.
        """

    def probabilities(self, part: PartName) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Predicted class probabilities ``[R, n, classes]`` at ``after``, and the classes ``[n]``;
        None where the part is empty.
        """

    def margins(self, part: PartName) -> torch.Tensor | None:
        """Output of the right class less the largest of the others at ``after``, ``[R, n]``; None
        where the part is empty.
        """


class Instrument(Component):
    """Base of all instruments.

    Class attributes:
        gives: its series. draws: what its picture shows, "" where it has none.
        tasks: tasks for which it exists. usual: whether it is among those that are switched on
            together where nothing else is asked for.
        of_examples: whether it asks for the gradients of single examples.
        watches: name of a step measure that :meth:`watch` is to see at every step, "" for none.
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

    every: int = integer(
        0,
        "Every",
        unit="steps",
        ge=0,
        help="Steps between two readings; 0 for readings on a pause and at the end only.",
    )

    @abstractmethod
    def take(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        """A reading.

        Args:
            memory: its own, empty when it is switched on, and kept from one reading to the next.
        """

    @abstractmethod
    def cost(self) -> str:
        """What one reading costs, in plain training steps, to end the sentence "a reading costs …"."""

    def begin(self, theta: torch.Tensor, memory: dict[str, Any]) -> None:
        """It is switched on at these parameters ``[R, P]``: NaN for a run whose start is not known."""

    def watch(self, row: torch.Tensor, place: int, memory: dict[str, Any]) -> None:
        """See what it :attr:`watches`: entry ``place`` of the step measures ``[M, R]``. Called at
        every step, so it has to be quick.
        """

    def remembered(self, memory: dict[str, Any]) -> Mapping[str, torch.Tensor]:
        """What of its memory a snapshot has to hold, for a run that goes on to tell the same: name
        → ``[R]``, put back into the memory then.
        """
        return {}

    def refusal(self, setting: Setting) -> str:
        """Why it does not exist for an experiment, as a sentence for the user; "" where it does."""
        return ""

    def derived_facts(self) -> tuple[str, ...]:
        if self.every == 0:
            when = "it is taken on a pause and at the end"
        else:
            when = (
                "it is taken at every step"
                if self.every == 1
                else f"it is taken every {self.every:,} steps"
            )
        return (f"{when}, and a reading costs {self.cost()}.",)


def schedule(default: int, why: str) -> Any:
    """The field ``every`` with a default of its own."""
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
    """The five numbers of :data:`QUARTILES` of ``values`` ``[R, n]``, by linear interpolation
    between neighbors.
    """
    ordered = values.sort(dim=1).values
    low, high, share = _between(ordered.shape[1], values.dtype, values.device)
    return Named(ordered.index_select(1, low).lerp(ordered.index_select(1, high), share), QUARTILES)


@functools.lru_cache(maxsize=64)
def _between(
    count: int, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of the quartiles among so many numbers in order: the places of the neighbors below and above,
    and how far from the one below.
    """
    places = [share * (count - 1) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    low = torch.tensor([math.floor(place) for place in places], device=device)
    high = torch.tensor([math.ceil(place) for place in places], device=device)
    return low, high, torch.tensor([place % 1.0 for place in places], dtype=dtype, device=device)


def histogram(values: torch.Tensor, bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Edges ``[R, bins + 1]`` from the smallest to the largest of ``values`` ``[R, n]``, and how
    many lie between them, ``[R, bins]``.
    """
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    width = (high - low).clamp_min(torch.finfo(values.dtype).tiny)
    place = ((values - low) / width * bins).nan_to_num(0.0).long().clamp(0, bins - 1)
    counts = torch.zeros(len(values), bins, dtype=values.dtype, device=values.device)
    counts.scatter_add_(1, place, torch.ones_like(values))
    return low + width * torch.linspace(
        0.0, 1.0, bins + 1, dtype=values.dtype, device=values.device
    ), counts


def declared(name: str) -> type[Instrument]:
    """The instrument of this name.

    Raises:
        InvalidInput: there is none.
    """
    known = registry.names("instrument")
    if name not in known:
        raise InvalidInput(
            f"No instrument is called {shown(name)}{did_you_mean(name, known)}; known are: {', '.join(known)}.",
            f"{INSTRUMENTS}.{name}",
        )
    return registry.get(Instrument, name)


def chosen(tables: Mapping[str, Any]) -> tuple[Instrument, ...]:
    """The instruments that the tables below ``[instruments]`` switch on, in the order of the
    catalogue.

    Raises:
        InvalidInput: there is no such instrument, or a field's value is not allowed.
    """
    built: dict[str, Instrument] = {}
    for name, values in tables.items():
        where = f"{INSTRUMENTS}.{name}"
        instrument = declared(name)
        if not isinstance(values, Mapping):
            raise InvalidInput(
                f"{where} is {shown(values)}, but it must be a section, [{where}] with its fields below.",
                where,
            )
        built[name] = instrument.build(values, where)
    return tuple(built[name] for name in registry.names("instrument") if name in built)
