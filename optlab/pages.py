"""A component's page: what the catalogue says about it, gathered from its declarations in one fixed order.

The command line prints it, the window draws it; neither adds a word about a component of its own.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import tomli_w

from optlab import registry
from optlab.component import Component
from optlab.errors import InvalidInput
from optlab.fields import Field, did_you_mean


@dataclass(frozen=True)
class Page:
    """One component, described.

    Attributes:
        sentence: what it is, in one sentence. explanation: paragraphs.
        rule: LaTeX lines. symbols: (symbol, meaning), those of the rule and then those of the fields.
        fields: its hyperparameters, with units, bounds, defaults and reasons.
        example: the section of an experiment file that asks for it, as TOML.
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
    differs: str
    example: str


def page(component: type[Component]) -> Page:
    """The page of a component."""
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(component.__doc__ or "").split("\n\n")]
    fields = component.fields()
    symbols = [*component.symbols.items(), *((field.symbol, field.label) for field in fields if field.symbol)]
    values: dict[str, object] = {"name": component.name}
    values |= {f.name: list(f.default) if isinstance(f.default, tuple) else f.default for f in fields}
    return Page(
        kind=component.kind,
        name=component.name,
        label=component.label,
        sentence=paragraphs[0] if paragraphs else "",
        explanation=tuple(paragraphs[1:]),
        rule=component.rule,
        symbols=tuple(symbols),
        fields=fields,
        source=component.source,
        differs=component.differs,
        example=tomli_w.dumps({component.kind: values}).strip(),
    )


def find(name: str) -> list[type[Component]]:
    """The components called ``name`` (``"momentum"``), or ``"kind.name"`` (``"clipping.none"``), in any kind.

    Raises:
        InvalidInput: there is none.
    """
    wanted_kind, _, wanted = name.rpartition(".")
    everything = [component for kind in registry.kinds() for component in registry.components(kind)]
    found = [c for c in everything if c.name == wanted and wanted_kind in ("", c.kind)]
    if not found:
        known = sorted({c.name for c in everything})
        raise InvalidInput(f"Nothing in the catalogue is called '{name}'{did_you_mean(wanted, known)}; optlab list shows what is there.")
    return found
