"""A component: one idea of the catalogue, with its fields and its page.

Each file of a catalogue folder (``optlab/catalogue/optimizers/momentum.py``) holds one component.
The class carries everything that the command line and the window show about it, so the picker, the
form, the page, the flags and the tests need no second declaration. What all components of a kind
have in common is declared once, as the :class:`Section` of their base class.
"""

# Without `from __future__ import annotations`: pydantic evaluates the annotations of this class again
# for each of its subclasses, and would compile those that are texts each time.

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

from optlab.core.fields import FieldSet

Chapter = Literal[
    "What is optimized",
    "Batches",
    "Algorithms",
    "Initialization",
    "Strategies",
    "Instruments",
    "Demonstrations",
]
CHAPTERS: tuple[Chapter, ...] = get_args(Chapter)
"""Chapters of the catalogue, in the order of the notes."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Properties of a section of an experiment or, for components, of a kind of component.

    Attributes:
        title: heading of its form.
        plural: heading above its components in the catalogue.
        chapter: chapter of the catalogue that lists it; None for fields that are no component.
        order: rank in experiment files and lists. form_order: rank among the forms and within the
            chapter.
        per_experiment: how many components of the kind an experiment has: one; several, each in
            a table of its name; or none, because they are used elsewhere.
        default: name of the component that fills the section where a file omits it; "" where it
            must be named or depends on the task.
        live: whether its numbers can be changed during a run.
        shared: whether all runs of a population have the same one.
        opened: whether its form is expanded at first.
        in_strip: how many of its numbers that can be changed during a run are always in sight.
    """

    title: str
    order: int
    plural: str = ""
    chapter: Chapter | None = None
    form_order: int = 1000
    per_experiment: Literal["one", "several", "none"] = "one"
    default: str = ""
    live: bool = False
    shared: bool = False
    opened: bool = False
    in_strip: int = 0


LONGEST_SHORT = 20
"""Letters up to which a label stands in the names of runs."""


class Component(FieldSet):
    """Base class of everything that can be picked by name.

    Class attributes:
        kind: key of the section that it fills (``"optimizer"``).
        section: properties of the kind, declared by the kind's base class.
        name: key in files and flags; also the name of its source file, unless its folder holds tables.
        label: name in pickers.
        short: name in the names of runs; by default the label, or the name where that is
            long or somebody else's.
        rule: LaTeX lines of its formula, drawn typeset; empty if it has none.
        symbols: symbol → meaning, for symbols of the rule that are no fields.
        source: reference: equation or section of the notes, and the paper.
        differences: differences from other libraries, or "".
        group: heading under which pickers list it.
        sort_order: rank in the list; ties are sorted by label.
        own_modules: dotted names of modules and packages, not of OptLab or torch, whose code it
            executes: a model of the user's, or an optimizer of another package.
    """

    kind: ClassVar[str] = ""
    section: ClassVar[Section]
    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    short: ClassVar[str] = ""
    rule: ClassVar[tuple[str, ...]] = ()
    symbols: ClassVar[dict[str, str]] = {}
    source: ClassVar[str] = ""
    differences: ClassVar[str] = ""
    group: ClassVar[str] = ""
    sort_order: ClassVar[int] = 100
    own_modules: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def short_label(cls) -> str:
        """Return what it is called in the names of runs."""
        if cls.short or cls.own_modules:
            return cls.short or cls.name
        return cls.label if 0 < len(cls.label) <= LONGEST_SHORT else cls.name.replace("_", " ")

    @classmethod
    def unavailable(cls) -> str:
        """Return why it cannot be used at present, as a sentence, or "" if it can."""
        return ""

    def files(self) -> tuple[Path, ...]:
        """Return the files outside OptLab whose content determines what it gives.

        A run keeps their sizes and hashes, so that it is not continued or measured on others.
        """
        return ()

    def scheduled_fields(self) -> tuple[str, ...]:
        """Return the names of its numbers that can follow a schedule of their own."""
        return ()

    def derived_facts(self) -> tuple[str, ...]:
        """Return facts that follow from its field values.

        Its page completes the sentence "With these defaults …" with each.
        """
        return ()

    def reads_outside(self) -> bool:
        """Return whether its answers come from files or code of the user's own.

        Asking such a component may take long, and runs what others wrote: the window leaves it to a
        worker process.
        """
        return False
