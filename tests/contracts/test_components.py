"""What every component promises, whatever it is: checked over the registry, so that a new file is checked from the day it is dropped in."""

from __future__ import annotations

import importlib
import inspect
import tomllib

import pytest

from optlab import registry
from optlab.component import Component
from optlab.fields import Field
from optlab.pages import find, page

EVERYTHING = [component for kind in registry.kinds() for component in registry.components(kind)]
FIELDS = [pytest.param(c, f, id=f"{c.kind}.{c.name}.{f.name}") for c in EVERYTHING for f in c.fields()]


def identity(component: type[Component]) -> str:
    return f"{component.kind}.{component.name}"


each = pytest.mark.parametrize("component", EVERYTHING, ids=identity)


@each
def test_that_a_component_says_what_it_is(component: type[Component]) -> None:
    assert component.label and component.label == component.label.strip()
    described = page(component)
    assert described.sentence.endswith("."), "the first paragraph of the docstring is one sentence"
    assert all(paragraph.endswith((".", ":", ")")) for paragraph in described.explanation)
    assert component.__doc__ != Component.__doc__
    if component.rule:
        assert component.source, "a rule has a source"
    assert all(symbol and meaning for symbol, meaning in described.symbols)


@each
def test_that_a_component_is_alone_in_a_file_of_its_name_in_the_folder_of_its_kind(component: type[Component]) -> None:
    folder, name = component.__module__.split(".")[1:]
    assert folder == registry.FOLDERS[component.kind]
    assert name == component.name
    module = importlib.import_module(component.__module__)
    mine = [v for v in vars(module).values() if inspect.isclass(v) and issubclass(v, Component) and v.__module__ == module.__name__]
    assert mine == [component]
    assert component.__module__ in registry.modules()


@each
def test_that_defaults_are_valid_and_survive_being_written_and_read(component: type[Component]) -> None:
    built = registry.build(component.kind, {"name": component.name})
    assert isinstance(built, component)
    assert registry.build(component.kind, {"name": component.name, **built.values()}) == built
    assert len({built, registry.build(component.kind, {"name": component.name})}) == 1


@each
def test_that_the_example_of_its_page_asks_for_it(component: type[Component]) -> None:
    described = page(component)
    values = tomllib.loads(described.example)[component.kind]
    assert registry.build(component.kind, values) == component()
    assert component in find(component.name)
    assert find(f"{component.kind}.{component.name}") == [component]


@pytest.mark.parametrize(("component", "field"), FIELDS)
def test_that_a_field_is_described_and_its_bounds_are_consistent(component: type[Component], field: Field) -> None:
    assert field.label[:1].isupper()
    assert field.help.endswith("."), "a field's help is a sentence"
    assert not field.why or field.why.endswith(".")
    low = field.least if field.least is not None else field.above
    high = field.most if field.most is not None else field.below
    if field.slider is not None:
        bottom, top = field.slider
        assert bottom < top
        assert low is None or bottom >= low
        assert high is None or top <= high
        assert not field.log or bottom > 0
    if field.kind == "choice":
        assert field.default in field.choices


@pytest.mark.parametrize(("component", "field"), FIELDS)
def test_that_a_value_outside_of_a_fields_bounds_is_refused_in_words(component: type[Component], field: Field) -> None:
    from optlab.errors import InvalidInput

    wrong: list[object] = [None, object()]
    if field.kind in ("real", "whole"):
        wrong += [True, "1", float("nan"), float("inf")]
        wrong += [field.least - 1] if field.least is not None else []
        wrong += [field.above] if field.above is not None else []
        wrong += [field.most + 1] if field.most is not None else []
        wrong += [field.below] if field.below is not None else []
    elif field.kind == "switch":
        wrong += [1, "true"]
    elif field.kind == "choice":
        wrong += ["no such choice"]
    elif field.kind == "sizes":
        wrong += [[0], [1.5], 3]
    for value in wrong:
        with pytest.raises(InvalidInput) as refusal:
            component.build({field.name: value}, component.kind)
        assert refusal.value.field == f"{component.kind}.{field.name}"
        assert f"but it must be {field.allowed}." in str(refusal.value)


@pytest.mark.parametrize("kind", registry.kinds())
def test_that_names_and_labels_of_a_kind_are_distinct(kind: str) -> None:
    members = registry.components(kind)
    assert members
    assert len({member.label for member in members}) == len(members)
    assert len({member.name for member in members}) == len(members)
    assert len(registry.names(kind)) == len([m for m in registry.modules() if m.startswith(f"optlab.{registry.FOLDERS[kind]}.")])
