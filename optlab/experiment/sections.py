"""The sections of an experiment, in file order, and the fields of those that no component fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from optlab.catalogue.initializers.base import Start
from optlab.catalogue.models.base import Model
from optlab.catalogue.optimizers.base import Optimizer
from optlab.core import registry
from optlab.core.component import Component, Section
from optlab.core.data import LearningTask
from optlab.core.fields import (
    STEPS_OR_EPOCHS,
    Field,
    FieldSet,
    StepUnit,
    Texts,
    choice,
    flag,
    integer,
    names,
    number,
    step_unit,
    text,
)
from optlab.core.limits import UNTIL_STOPPED


class PlainSection(FieldSet):
    """Base class of the sections with a fixed set of fields."""

    section: ClassVar[Section]


class General(PlainSection):
    """The experiment's own fields, at the top of the file."""

    section: ClassVar[Section] = Section(
        title="Seed, device and precision", order=0, form_order=160
    )

    title: str = text("", "Title", help="A name for the run in lists and legends.")
    seed: int = integer(
        0,
        "Seed",
        ge=0,
        le=2**63 - 1,
        help="Seed of the start and of the batches. The same seed gives the same run, bit for bit "
        "on a CPU.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = choice(
        "auto",
        "Device",
        help="Where the run computes; auto takes a GPU if there is one and the model is large "
        "enough to gain from it.",
    )
    precision: Literal["float32", "float64"] = choice(
        "float32",
        "Precision",
        help="float64 for comparisons up to rounding errors; it takes about twice the time.",
    )
    threads: int = integer(
        1,
        "Threads",
        ge=1,
        le=256,
        help="CPU threads of one tensor operation.",
        why="More than one slows small models down; the last bits of a result depend on it, so it "
        "is part of the experiment.",
    )
    compiled: bool = flag(
        False,
        "Compiled steps",
        help="Translate the steps of a run to C++ where there is a compiler, in about a second "
        "before the first step, which pays off from about ten thousand small steps on. Each step agrees "
        "with an ordinary one to about 1e-6 of its size, and is the same at every repetition on "
        "the same machine.",
    )


class Budget(PlainSection):
    """The limits at which a run ends."""

    section: ClassVar[Section] = Section(title="Budget", order=140, form_order=140)

    steps: int = integer(
        2000,
        "Steps",
        unit=STEPS_OR_EPOCHS,
        ge=1,
        le=UNTIL_STOPPED,
        log=True,
        slider=(10, 1_000_000),
        help="Number of updates, or of passes through the training set; 1e12 for a run that goes on "
        "until you stop it.",
    )
    unit: StepUnit = step_unit()
    seconds: float = number(
        0.0,
        "Seconds",
        ge=0.0,
        help="Training time after which the run ends; 0 for no limit. With a limit, the end "
        "depends on the machine.",
    )

    def words(self) -> str:
        """Return how long the run goes on, in a few words."""
        return "until you stop" if self.steps >= UNTIL_STOPPED else f"{self.steps:,} {self.unit}"


class MeasurePlan(PlainSection):
    """What is measured, and when."""

    section: ClassVar[Section] = Section(title="Measures", order=150, form_order=150, shared=True)

    evaluate_every: int = integer(
        0,
        "Evaluate every",
        ge=0,
        unit=STEPS_OR_EPOCHS,
        help="Steps, or epochs, between evaluations on the entire training and validation sets; 0 "
        "for once an epoch.",
    )
    gradient_every: int = integer(
        0,
        "Full gradient every",
        ge=0,
        unit=STEPS_OR_EPOCHS,
        help="Steps, or epochs, between evaluations of the gradient on the entire training set, "
        "which the "
        "gradient-norm test needs. It is computed at the first evaluation after each multiple, at "
        "the start and at the end; 0 for every 20 epochs.",
        why="It costs a forward and a backward pass through the training set. Every 20 epochs, it "
        "processes at most a twentieth of the examples that training does, in less of the time, "
        "because large batches are fast.",
    )
    unit: StepUnit = step_unit()
    fresh: int = integer(
        0,
        "Fresh examples",
        unit="examples",
        ge=0,
        le=1_000_000,
        slider=(0, 20_000),
        help="Examples drawn from the distribution at each evaluation, to measure the risk and its "
        "gap to the training loss; 0 for none. Only for data sets whose distribution is known.",
        why="Each evaluation processes that many more examples, usually several times the training "
        "set. 10,000 examples determine a 0-1 risk to about half a percent.",
    )
    weights: int = integer(
        12,
        "Followed weights",
        ge=0,
        le=256,
        slider=(0, 64),
        help="Number of weights, spread over all tensors, whose values are recorded at each step.",
    )
    chosen: Texts = names(
        (),
        "Chosen weights",
        help="Names of weights to follow, such as layers.0.weight[3,5]. They replace those that "
        "are spread over the tensors.",
    )


SECTIONS: tuple[str, ...] = tuple(
    key for key, section in registry.sections().items() if section.per_experiment == "one"
)
"""The sections that a component of the same kind fills, in file order."""
PLAIN_SECTIONS: Mapping[str, type[PlainSection]] = {"budget": Budget, "measures": MeasurePlan}
"""The sections with a fixed set of fields, in file order."""
DEFAULTS: Mapping[str, str] = {
    key: section.default for key, section in registry.sections().items() if section.default
}
"""Section → the component that fills it where a file omits it. The default loss depends on the task
(:func:`default_loss`), the default initializer on the model (:func:`default_initializer`).
"""


def section_of(key: str) -> Section:
    """Return the properties of the section ``key`` ("general" for the fields at the top).

    Raises:
        KeyError: an experiment has no such section.
    """
    plain: Mapping[str, type[PlainSection]] = {"general": General, **PLAIN_SECTIONS}
    return plain[key].section if key in plain else registry.sections()[key]


LIVE_SECTIONS: tuple[str, ...] = tuple(key for key in SECTIONS if section_of(key).live)
"""The sections whose numbers can be changed during a run."""
SHARED_SECTIONS: tuple[str, ...] = tuple(
    key for key in (*SECTIONS, *PLAIN_SECTIONS) if section_of(key).shared
)
"""The sections that are the same in all runs of a population."""


def live_fields(section: str, component: type[Component]) -> list[Field]:
    """Return the fields of a component that can be changed during a run."""
    fixed = component.fixed if issubclass(component, Optimizer) else ()
    return [
        field
        for field in component.fields()
        if (field.live or section in LIVE_SECTIONS)
        and field.kind in ("number", "integer")
        and field.name not in fixed
    ]


def default_loss(task: LearningTask) -> str:
    """Return the name of the loss of an experiment that names none."""
    return "cross_entropy" if task == "classes" else "squared_error"


def default_initializer(model: Model) -> str:
    """Return the name of the initializer of an experiment that names none."""
    return next(
        (
            initializer.name
            for initializer in registry.components(Start)
            if model.has_built_start() and initializer.from_constructor
        ),
        Start.section.default,
    )
