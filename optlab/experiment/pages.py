"""A component's page: what the catalogue says about it, gathered from its declarations in one fixed
order.

The command line prints it, the window draws it; neither adds a word about a component of its own.
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
    """One component, described.

    Attributes:
        sentence: what it is, in one sentence. explanation: paragraphs, what follows from the
            defaults last.
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
    """What a component is, in one sentence: the first paragraph of its docstring."""
    return " ".join(inspect.cleandoc(component.__doc__ or "").split("\n\n")[0].split())


def page(component: type[Component]) -> Page:
    """The page of a component."""
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
    """Return the chapters of the catalogue with their kinds of component:
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
    """The components called ``name`` (``"momentum"``), or ``"kind.name"`` (``"clipping.none"``), in
    any kind.

    Raises:
        InvalidInput: there is none.
    """
    everything = [component for kind in registry.kinds() for component in registry.components(kind)]
    found = [c for c in everything if name in (c.name, f"{c.kind}.{c.name}")]
    if not found:
        for kind in registry.kinds():
            if name.removeprefix(f"{kind}.") in registry.refused(kind):
                raise InvalidInput(
                    f"'{name}' is no choice here: {registry.refused(kind)[name.removeprefix(f'{kind}.')]}"
                )
        known = sorted(
            {c.name for c in everything}
            | ({f"{c.kind}.{c.name}" for c in everything} if "." in name else set())
        )
        raise InvalidInput(
            f"Nothing in the catalogue is called '{name}'{did_you_mean(name, known)}; optlab list shows what is there."
        )
    return found
