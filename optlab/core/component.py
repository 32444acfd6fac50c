"""A component: one idea of the catalogue, with its fields and its page.

Each file of a catalogue folder (``optlab/catalogue/optimizers/momentum.py``) holds one component,
or a table of small ones.
The class carries what a surface shows about it, so that the picker, the form, the page, the flags
and the tests need no second declaration.
"""

from __future__ import annotations

from typing import ClassVar

from optlab.core.fields import FieldSet


class Component(FieldSet):
    """Base of everything that can be picked by name.

    Class attributes:
        kind: the experiment's section it fills (``"optimizer"``).
        name: key in files and flags; also the name of its source file, unless its folder holds tables.
        label: words in the picker.
        rule: LaTeX lines of its formula, drawn typeset; empty where it has none.
        symbols: symbol → meaning, for what stands in the rule and is no field.
        source: where it comes from: equation or section of the notes, and the paper.
        differences: how other libraries differ, or "".
        group: heading under which pickers list it; ``sort_order``: rank in the list (ties go by
            label).
    """

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    rule: ClassVar[tuple[str, ...]] = ()
    symbols: ClassVar[dict[str, str]] = {}
    source: ClassVar[str] = ""
    differences: ClassVar[str] = ""
    group: ClassVar[str] = ""
    sort_order: ClassVar[int] = 100

    def derived_facts(self) -> tuple[str, ...]:
        """What follows from its field values, in sentences; its page tells them of the defaults."""
        return ()
