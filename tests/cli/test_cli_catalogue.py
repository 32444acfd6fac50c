"""``optlab list`` and ``optlab show``: the catalogue as text and as JSON."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from typing import Any

import pytest

from optlab.cli.app import main
from optlab.core import paths, registry
from optlab.core.plain_math import plain
from optlab.experiment import Experiment, presets
from optlab.studies.claims import shipped as shipped_claims
from optlab.studies.comparison import shipped
from optlab.tasks.scenes import shipped as shipped_scenes

KINDS = [*registry.plurals().values(), "presets", "studies", "claims", "scenes", "devices"]
RULES = sorted(
    {
        line
        for kind in registry.kinds()
        for component in registry.components(kind)
        for line in component.rule
    }
)


def document(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return json.loads(output.out)


@pytest.mark.parametrize("kind", KINDS)
def test_that_every_kind_is_listed_with_name_label_and_sentence(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    items = document(["list", kind], capsys)
    assert items
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(items)
    for line, item in zip(lines, items, strict=True):
        assert line.split()[0] == item["name"]
        assert item["label"] in line and item["sentence"] in line
        assert item["label"] and item["sentence"]


@pytest.mark.parametrize(("singular", "plural"), list(registry.plurals().items()))
def test_that_a_kind_may_be_given_in_the_singular(
    singular: str, plural: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert document(["list", singular], capsys) == document(["list", plural], capsys)


def test_that_listing_without_a_kind_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == KINDS
    assert [item["name"] for item in document(["list"], capsys)] == KINDS


def test_that_listed_fields_carry_what_a_form_needs(capsys: pytest.CaptureFixture[str]) -> None:
    momentum = next(
        item for item in document(["list", "optimizers"], capsys) if item["name"] == "momentum"
    )
    field = next(field for field in momentum["fields"] if field["name"] == "momentum")
    assert field["default"] == 0.9
    assert field["ge"] == 0.0 and field["lt"] == 1.0 and field["le"] is None
    assert field["symbol"] == "α" and field["kind"] == "number"


def test_that_an_unknown_kind_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list", "optimisers"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert "did you mean optimizers?" in output.err
    assert all(kind in output.err for kind in KINDS)


@pytest.mark.parametrize(
    "name", [f"{c.kind}.{c.name}" for kind in registry.kinds() for c in registry.components(kind)]
)
def test_that_every_page_shows_what_was_declared(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", name]) == 0
    text = capsys.readouterr().out
    kind, _, own = name.partition(".")
    component = registry.get(kind, own)
    assert component.label in text.splitlines()[0]
    assert all(line in text for line in component.rule)
    flowing = " ".join(text.split())
    assert " ".join(component.source.split()) in flowing
    assert " ".join(component.differences.split()) in flowing
    for field in component.fields():
        assert field.name in text
        assert field.allowed in flowing
        assert " ".join(field.help.split()) in flowing and " ".join(field.why.split()) in flowing


@pytest.mark.parametrize("kind", [kind for kind in registry.kinds() if kind != "measure"])
def test_that_the_example_and_the_flags_of_a_page_ask_for_the_component(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for component in registry.components(kind):
        (page,) = document(["show", f"{kind}.{component.name}"], capsys)
        if component.section.per_experiment != "none":
            example = tomllib.loads(page["example"])
            section = (
                {"name": component.name, **example["instruments"][component.name]}
                if kind == "instrument"
                else example[kind]
            )
            assert registry.build(kind, section) == component.build({}, kind)
        sections = {"instrument": f"instruments.{component.name}.", "demonstration": ""}
        prefix = sections.get(kind, f"{kind}.")
        flags = [shlex.split(flag) for flag in page["flags"]]
        assert all(option == "--set" and change.startswith(prefix) for option, change in flags)
        typed = dict(change.removeprefix(prefix).split("=", 1) for _, change in flags)
        assert list(typed) == [field.name for field in component.fields()]
        parsed = {name: component.field(name).parse(text) for name, text in typed.items()}
        assert component.build(parsed, kind) == component.build({}, kind)


def test_that_show_prints_the_file_of_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "digits-mlp"]) == 0
    shown = capsys.readouterr().out
    assert Experiment.from_toml(shown) == Experiment.load(paths.presets() / "digits-mlp.toml")
    (page,) = document(["show", "digits-mlp"], capsys)
    assert "below 5%" in page["explanation"][0]


def test_that_all_pages_are_one_document_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    found = {(page["kind"], page["name"]): page for page in document(["show", "--all"], capsys)}
    declared = {(kind, name) for kind in registry.kinds() for name in registry.names(kind)}
    files = {("preset", path.stem) for path in presets.files()}
    files |= {("study", path.stem) for path in shipped.files()}
    files |= {("claim", name) for name in shipped_claims.files()}
    files |= {("scene", name) for name in shipped_scenes.files()}
    assert found.keys() == declared | files
    (alone,) = document(["show", "momentum"], capsys)
    assert found["optimizer", "momentum"] == alone
    assert main(["show"]) == 2 and main(["show", "momentum", "--all"]) == 2
    assert "instead of one" in capsys.readouterr().err


def test_that_a_name_of_several_kinds_shows_all_pages(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {kind for kind in registry.kinds() if "none" in registry.names(kind)}
    assert len(kinds) > 1
    pages = document(["show", "none"], capsys)
    assert {page["kind"] for page in pages} == kinds
    assert [page["kind"] for page in document(["show", "clipping.none"], capsys)] == ["clipping"]


def test_that_an_unknown_name_is_refused_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "momentun"]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1
    assert "did you mean momentum?" in output.err


@pytest.mark.parametrize("rule", RULES)
def test_that_every_rule_of_the_catalogue_reads_as_plain_text(rule: str) -> None:
    text = plain(rule)
    # Braces that are written with a backslash are those of a set.
    assert not re.search(
        r"[\\{}]", text.translate(str.maketrans("", "", "{}")) if r"\{" in rule else text
    )
    known = r"log|exp|min|max|det|arcsin|sin|cos|tan|sinh|cosh|tanh|if|diag|otherwise|and|for"
    long_words = [
        word for word in re.findall(r"[A-Za-z]{3,}", text) if not re.fullmatch(known, word)
    ]
    assert all(word in re.sub(r"\\[A-Za-z]+", " ", rule) for word in long_words), (
        "a command of LaTeX was left over"
    )


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"v \leftarrow \alpha v - \epsilon\, g", "v ← αv − ε g"),
        (
            r"g \leftarrow \frac{c\, g}{\left\| g \right\|}\quad \text{if}\ \left\| g \right\| > c",
            "g ← c g / ‖g‖   if ‖g‖ > c",
        ),
        (r"\hat{s} = \frac{s}{1 - \rho_1^t}", "ŝ = s / (1 − ρ₁ᵗ)"),
        (
            r"U\left(-\sqrt{\frac{6}{m+n}},\ \sqrt{\frac{6}{m+n}}\right)",
            "U(−√(6 / (m + n)), √(6 / (m + n)))",
        ),
        (r"W_{i,j} \sim N(0, \sigma^2)", "Wᵢⱼ ~ N(0, σ²)"),
        (r"\frac{a+b}{c}", "(a + b) / c"),
    ],
)
def test_that_formulas_keep_their_meaning_as_plain_text(latex: str, text: str) -> None:
    assert plain(latex) == text
