"""A component's page: its declarations in a fixed order.

The command line prints it and the window draws it; neither adds text about a component.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import tomli_w

from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.core import registry
from optlab.core.component import CHAPTERS, Component
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field, did_you_mean


@dataclass(frozen=True)
class Page:
    """The description of one component.

    Attributes:
        sentence: a summary. explanation: further paragraphs; facts that follow from the defaults
            come last.
        rule: LaTeX lines. symbols: (symbol, meaning), those of the rule and then those of the
            fields.
        fields: its hyperparameters, with units, bounds, defaults and reasons.
        example: the section of an experiment file that selects it, as TOML; "" if an experiment
            cannot select it.
    """

    kind: str
    name: str
    label: str
    sentence: str
    explanation: tuple[str, ...]
    rule: tuple[str, ...]
    symbols: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...]
    source: str
    differences: str
    example: str


def sentence(component: type[Component]) -> str:
    """Return the summary of a component: the first paragraph of its docstring."""
    return " ".join(inspect.cleandoc(component.__doc__ or "").split("\n\n")[0].split())


def page(component: type[Component]) -> Page:
    """Return the page of a component."""
    paragraphs = [
        " ".join(part.split()) for part in inspect.cleandoc(component.__doc__ or "").split("\n\n")
    ]
    fields = component.fields()
    symbols = [
        *component.symbols.items(),
        *((field.symbol, field.label) for field in fields if field.symbol),
    ]
    values: dict[str, object] = {
        f.name: list(f.default) if isinstance(f.default, tuple) else f.default for f in fields
    }
    tables: dict[str, dict[str, object]] = {
        "one": {component.kind: {"name": component.name, **values}},
        "several": {INSTRUMENTS: {component.name: values}},
        "none": {},
    }
    return Page(
        kind=component.kind,
        name=component.name,
        label=component.label,
        sentence=paragraphs[0] if paragraphs else "",
        explanation=(
            *paragraphs[1:],
            *(f"With these defaults {fact}" for fact in component().derived_facts()),
        ),
        rule=component.rule,
        symbols=tuple(symbols),
        fields=fields,
        source=component.source,
        differences=component.differences,
        example=tomli_w.dumps(tables[component.section.per_experiment]).strip(),
    )


def chapters() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the chapters of the catalogue with their kinds of component.

    ``[(chapter, [(kind, heading)])]``.
    """
    sections = sorted(registry.sections().items(), key=lambda item: item[1].form_order)
    return [
        (
            chapter,
            [(kind, section.plural) for kind, section in sections if section.chapter == chapter],
        )
        for chapter in CHAPTERS
        if any(section.chapter == chapter for _, section in sections)
    ]


def find(name: str) -> list[type[Component]]:
    """Return the components that are called ``name``, of any kind or of the kind before a dot.

    ``"momentum"`` is a name of any kind, ``"clipping.none"`` of one.

    Raises:
        InvalidInput: there is none.
    """
    everything = [component for kind in registry.kinds() for component in registry.components(kind)]
    matches = [c for c in everything if name in (c.name, f"{c.kind}.{c.name}")]
    if not matches:
        for kind in registry.kinds():
            if name.removeprefix(f"{kind}.") in registry.refused(kind):
                reason = registry.refused(kind)[name.removeprefix(f"{kind}.")]
                raise InvalidInput(f"{name!r} cannot be used: {reason}")
        known = sorted(
            {c.name for c in everything}
            | ({f"{c.kind}.{c.name}" for c in everything} if "." in name else set())
        )
        raise InvalidInput(
            f"Nothing in the catalogue is called {name!r}{did_you_mean(name, known)}; "
            "optlab list shows the kinds of components."
        )
    return matches
