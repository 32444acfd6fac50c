"""The claims that ship, and how what is wrong in a claim is refused."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from optlab.core.errors import InvalidInput
from optlab.studies.claims import reading, shipped
from optlab.studies.claims.claim import ClaimText
from optlab.studies.claims.found import found
from optlab.studies.comparison import reading as study_reading

EXPECTED = {f"K{number}" for number in range(1, 45)} | {
    f"P{number}" for number in (1, 2, 3, 4, 5, 6, 10, 12)
}
CLAIM = """
id = "K1"
statement = "A descent falls."
chapter = "8.3"
notes = "follow the function downhill"
protocol = "One descent, and where it begins."
margin = "Any difference."
negative = "No step is taken."
next = "Other surfaces."
[study]
[study.probe]
name = "descent"
spread = 0.1
[study.arms.late]
probe.steps = 20
[study.arms.early]
probe.steps = 1
[study.seeds]
count = 3
[study.decide]
statement = "late < early"
[control.arms.late]
probe.steps = 1
"""


def test_that_every_claim_has_a_file() -> None:
    assert set(shipped.files()) == EXPECTED


@pytest.mark.parametrize("identity", shipped.files())
def test_that_a_claim_is_complete(identity: str) -> None:
    claim = shipped.claim(identity.lower())
    assert claim.id == identity and claim.text.statement.endswith(".")
    # Words enough to be a reason, and a place in the notes or a paper.
    for field in ClaimText.fields():
        assert getattr(claim.text, field.name).strip()
    for reason in (claim.text.protocol, claim.text.margin, claim.text.negative, claim.text.next):
        assert len(reason.split()) >= 5
    place = claim.text.chapter
    assert place.startswith("arXiv ") if identity.startswith("P") else place.startswith("8.")
    # The control differs from the study, and decides the same statement by the same rule.
    assert claim.control != claim.study
    assert claim.control.decision == claim.study.decision
    # A control may take more seeds of the same kind: what is absent needs more of them to show.
    assert claim.control.seeds.count >= claim.study.seeds.count
    kinds = [{**seeds.values(), "count": 0} for seeds in (claim.control.seeds, claim.study.seeds)]
    assert kinds[0] == kinds[1]
    for study in (claim.study, claim.control):
        assert study_reading.from_toml(study.to_toml()) == study
        assert study.seeds.count >= 3 and math.isfinite(study.decision.margin)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The script that writes what was found."""
    path = Path(__file__).parents[4] / "tools" / "found_claims.py"
    spec = importlib.util.spec_from_file_location("found_claims", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_that_what_was_found_is_of_the_protocols_as_they_stand(tool: ModuleType) -> None:
    results = found()
    assert results
    for identity, document in results.items():
        claim = shipped.claim(identity)
        assert document["protocol"] == tool.protocol(claim), identity
        assert document["verdict"] in ("supported", "contradicted", "undecided")
        assert document["seeds"] == claim.study.seeds.count


def test_that_another_value_is_another_protocol_and_another_default_is_none(
    tool: ModuleType,
) -> None:
    he = {"name": "he", "fan": "in", "bias": 0.5}
    assert tool.settled({"set": {"initializer": he}}) == {
        "set": {"initializer": {"name": "he", "bias": 0.5}}
    }
    assert tool.settled({"arms": {"name": "he", "fan": "in"}})["arms"]["fan"] == "in"


def test_that_a_control_is_laid_over_its_study() -> None:
    claim = reading.from_toml(CLAIM)
    steps = {arm.name: arm.probe.values()["steps"] for arm in claim.control.probes}
    assert steps == {"late": 1, "early": 1}
    assert claim.study.probes[0].probe.values()["steps"] == 20
    assert claim.study.question == claim.text.statement


def test_that_a_control_can_leave_something_out() -> None:
    text = CLAIM.replace("[control.arms", '[control]\nwithout = ["probe.spread"]\n[control.arms')
    claim = reading.from_toml(text)
    assert [arm.probe.values()["spread"] for arm in claim.control.probes] == [0.0, 0.0]
    assert [arm.probe.values()["spread"] for arm in claim.study.probes] == [0.1, 0.1]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('margin = "Any difference."\n', "", "margin is missing; a claim needs it"),
        ('chapter = "8.3"', 'chapter = " "', "chapter is missing"),
        ('id = "K1"', 'identity = "K1"', "'identity' is not part of a claim"),
        ('id = "K1"', 'id = "K1"\nquick = "yes"', "it must be true or false"),
        ('id = "K1"', 'id = "K1"\nformat = 2', "format is 2"),
        ("[control.arms.late]\nprobe.steps = 1\n", "", r"\[control\] is missing"),
        ("late < early", "later < early", r"\[study\] .*no arm"),
        ("[control.arms.late]", '[control]\nwithout = ["probe.x"]\n[control.arms.late]', "probe.x"),
        ("[control.arms.late]", "[control]\nwithout = 3\n[control.arms.late]", "a list of paths"),
        ('id = "K1"', "id = K1", "not a TOML file"),
    ],
    ids=str,
)
def test_that_what_is_wrong_with_a_claim_is_said(old: str, new: str, words: str) -> None:
    assert old in CLAIM
    with pytest.raises(InvalidInput, match=words):
        reading.from_toml(CLAIM.replace(old, new))


def test_that_a_file_that_is_no_claim_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "K1-x.toml"
    with pytest.raises(InvalidInput, match="cannot be read"):
        reading.load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidInput, match="UTF-8"):
        reading.load(path)
    with pytest.raises(InvalidInput, match="'K99' is no claim"):
        shipped.claim("K99")


def test_that_another_number_of_seeds_is_that_of_both_studies() -> None:
    claim = reading.from_toml(CLAIM).with_seeds(5, 7)
    for study in (claim.study, claim.control):
        assert (study.seeds.count, study.seeds.first) == (5, 7)


def laid(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return reading.laid_over(base, changes)


def test_that_changes_are_laid_over_tables_field_by_field() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": {"f": 3}}
    merged = laid(base, {"a": {"b": 5}, "d": [3], "e": 4})
    assert merged == {"a": {"b": 5, "c": 2}, "d": [3], "e": 4}
    assert base["a"] == {"b": 1, "c": 2}
