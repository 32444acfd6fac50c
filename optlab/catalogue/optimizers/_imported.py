"""An optimizer that a script imports, because its class is the user's or that of a package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImportedRule:
    """What scripts need to know of an optimizer whose class they import.

    Attributes:
        imports: statement that imports the class.
        before: statements that prepare its parameter groups, for :attr:`creation`.
        creation: expression of the optimizer, from ``parameters``, a list in the order of the layout.
        assigned: key of the parameter groups → expression of its value, for those that change
            during the run; the names of the fields stand for their values.
        given: key → value that it has at first, as source, for those of :attr:`assigned`.
        rewritten: keys of :attr:`assigned` that the optimizer itself changes, too.
        partly: keys of :attr:`assigned` that not all groups have.
        files: what it imports from beside a script: path relative to its folder → content.
        package: the installed package from which it is imported, "" for none.
        closure: whether a step is given a function that evaluates loss and gradient.
        modes: whether it has a training and an evaluation mode.
        draws: whether its steps may draw random numbers.
        generators: statements that seed the generators that it keeps with ``seed``.
    """

    imports: str
    creation: str
    before: tuple[str, ...] = ()
    assigned: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    rewritten: frozenset[str] = frozenset()
    partly: frozenset[str] = frozenset()
    files: Mapping[str, bytes] = field(default_factory=dict)
    package: str = ""
    closure: bool = False
    modes: bool = False
    draws: bool = False
    generators: tuple[str, ...] = ()
