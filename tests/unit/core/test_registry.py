"""The registry: finding components, and errors for unknown names."""

from __future__ import annotations

from typing import Any

import pytest

from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.optimizers.momentum import Momentum
from optlab.core import registry
from optlab.core.errors import InvalidInput


def test_that_components_are_found_by_kind_and_name() -> None:
    assert registry.get("optimizer", "momentum") is Momentum
    assert {"sgd", "momentum", "nesterov", "adam"} <= set(registry.names("optimizer"))
    assert len(registry.components("optimizer")) == len(registry.names("optimizer"))
    assert "optlab.catalogue.optimizers.momentum" in registry.modules()
    assert not [name for name in registry.modules() if name.endswith(".base") or "._" in name]


def test_that_a_kind_is_its_key_or_its_base_class() -> None:
    assert registry.get(Optimizer, "momentum") is registry.get("optimizer", "momentum")
    assert registry.build(Optimizer, {"name": "momentum", "lr": 0.5}) == Momentum(lr=0.5)
    assert registry.names(Optimizer) == [rule.name for rule in registry.components(Optimizer)]


def test_that_pickers_list_by_rank_and_then_label() -> None:
    for kind in registry.kinds():
        order = [(c.sort_order, c.label.lower()) for c in registry.components(kind)]
        assert order == sorted(order)


def test_that_a_component_is_the_same_alone_and_among_all_of_its_kind() -> None:
    among = {(kind, c.name): c for kind in registry.kinds() for c in registry.components(kind)}
    registry.rescan()
    alone = {(kind, name): registry.get(kind, name) for kind, name in among}
    # An optimizer of another package is made again by each scan.
    files = [key for key, c in among.items() if c.__module__.startswith("optlab.")]
    assert len(files) > 100
    assert {key: alone[key] for key in files} == {key: among[key] for key in files}
    assert [c.name for c in alone.values()] == [name for _, name in among]


def test_that_an_unknown_name_is_refused_with_the_nearest_and_all_known() -> None:
    with pytest.raises(InvalidInput) as refusal:
        registry.get("optimizer", "momentun")
    assert (
        "optimizer.name is 'momentun', but no optimizer is called that (did you mean momentum?); "
        "known are: sgd" in str(refusal.value)
    )
    assert refusal.value.field == "optimizer.name"


@pytest.mark.parametrize("name", [None, 3, ["momentum"], {"momentum"}])
def test_that_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(InvalidInput, match="but no optimizer is called that"):
        registry.build("optimizer", {"name": name})


def test_that_a_section_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"optimizer\.name is missing; it must be one of: sgd"):
        registry.build("optimizer", {"lr": 0.1})


def test_that_a_built_component_has_its_values_and_defaults() -> None:
    built: Any = registry.build("optimizer", {"name": "momentum", "lr": 0.5})
    assert (built.lr, built.momentum, built.form) == (0.5, 0.9, "notes")
