"""``optlab claim``, ``optlab list claims`` and the pages of claims."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from optlab.cli.app import main
from optlab.core import paths
from optlab.store import Store

KEYS = {
    "claim",
    "statement",
    "verdict",
    "effect",
    "interval",
    "margin",
    "seeds",
    "control",
    "seconds",
}
CLAIM = """
id = "{id}"
quick = {quick}
statement = "A descent falls."
chapter = "8.3"
notes = "follow the function downhill <not a tag>"
protocol = "One descent, and where it begins."
margin = "Any difference."
negative = "No step is taken."
next = "Other surfaces."
[study]
[study.probe]
name = "descent"
spread = 0.1
{field}
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


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small claims in place of those that ship."""
    folder = tmp_path / "claims"
    folder.mkdir()
    for name, quick in (("K01-falls", "true"), ("P02-falls", "false")):
        identity = f"{name[0]}{int(name[1:3])}"
        text = CLAIM.format(id=identity, quick=quick, field="")
        (folder / f"{name}.toml").write_text(text)
    monkeypatch.setattr(paths, "claims", lambda: folder)
    return folder


def documents(
    arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0
) -> list[dict[str, Any]]:
    assert main([*arguments, "--json"]) == code
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_that_claims_are_conducted_once(capsys: pytest.CaptureFixture[str]) -> None:
    (first,) = documents(["claim", "k1"], capsys)
    assert set(first) >= KEYS
    assert (first["claim"], first["verdict"]) == ("K1", "supported")
    assert first["control"] in ("contradicted", "undecided")
    assert first["statement"] == "A descent falls." and first["seeds"] == 3
    assert first["margin"] == 0.0 and first["seconds"] > 0.0
    low, high = first["interval"]
    assert low <= first["effect"] <= high < 0.0
    # What is stored is not computed again, and what is missing is.
    (again,) = documents(["claim", "K1"], capsys)
    assert again == first
    both = documents(["claim", "--all"], capsys)
    assert [one["claim"] for one in both] == ["K1", "P2"] and both[0] == first
    assert documents(["claim", "--quick"], capsys) == [first]
    # Other seeds are another study.
    (other,) = documents(["claim", "K1", "--first", "7", "--seeds", "4"], capsys)
    assert other["seeds"] == 4 and other["studies"] != first["studies"]
    assert other["effect"] != first["effect"]
    with Store.open_readonly() as store:
        assert [one.name for one in store.studies(newest_first=False)] == [
            f"{kind}claim {claim}" for claim in ("K1", "P2", "K1") for kind in ("", "control of ")
        ]


def test_that_a_claim_goes_on_where_it_was_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    from optlab.studies.claims import shipped as claims

    study = claims.claim("K1").study
    with Store.open() as store:
        writer = store.begin_study(study.to_toml(), study.question, "claim K1")
        # No descent comes to this: it is kept, not computed again.
        writer.note_measured("late", 0, -1.0)
        writer.note_measured("late", 1, float("nan"))
        writer.finish("stopped", {}, "stopped by the user")
        identity = writer.id
        writer.close()
    (found,) = documents(["claim", "K1"], capsys)
    assert found["studies"]["study"] == identity
    with Store.open_readonly() as store:
        late = store.study(identity).result["arms"]["late"]
        assert late["low"][0] == -1.0 and late["low"][1] is None and late["censored"] == 1
        assert set(store.study(identity).measured) == {"late", "early"}


def test_that_a_claim_is_shown_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claim", "K1"]) == 0
    said = capsys.readouterr().out
    assert "late < early: effect" in said and "supported here; the negative control is" in said
    assert main(["claim", "--all"]) == 0
    said = capsys.readouterr().out
    assert "Claim" in said and "P2" in said and "supported" in said


def test_that_a_claim_that_fails_ends_no_other(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = CLAIM.format(id="K1", quick="true", field="surface = '{ name = \"nothing\" }'")
    (shipped / "K01-falls.toml").write_text(broken)
    first, second = documents(["claim", "--all"], capsys, code=1)
    assert first["verdict"] is None and "nothing" in first["reason"]
    assert second["verdict"] == "supported"
    assert set(first) >= KEYS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["claim"], "missing; give ids"),
        (["claim", "K9"], "'K9' is no claim"),
        (["claim", "K1", "--all"], "cannot be given with --all"),
        (["claim", "K1", "--seeds", "many"], "must be a whole number"),
        (["claim", "K1", "--seeds", "0"], "seeds.count"),
        (["claim", "K1", "--runner", "moon"], "moon"),
    ],
    ids=str,
)
def test_that_bad_input_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
    with Store.open() as store:
        assert store.studies() == []


def test_that_lists_and_pages_have_the_claims(capsys: pytest.CaptureFixture[str]) -> None:
    listed = documents(["list", "claims"], capsys)
    assert [(one["name"], one["label"]) for one in listed] == [
        ("K1", "not tested"),
        ("P2", "not tested"),
    ]
    (shown,) = documents(["show", "k1"], capsys)
    assert shown["kind"] == "claim" and shown["margin"] == "Any difference."
    assert shown["found"] is None and shown["quick"] is True
    assert main(["show", "K1"]) == 0
    said = capsys.readouterr().out
    for words in ("One descent", "Any difference.", "No step is taken.", "Not tested yet."):
        assert words in said


class _Page(HTMLParser):
    """Collects anchors, links and what is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.ids.add(values.get("id") or "")
        if tag == "a":
            self.links.append(values.get("href") or "")
        assert "src" not in values and tag not in ("script", "link")


def test_that_the_book_is_one_page_whose_links_lead_somewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = tmp_path / "book.html"
    assert main(["claim", "K1", "--book", str(book)]) == 0
    capsys.readouterr()
    text = book.read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert {"K1", "P2", "contents"} <= page.ids and "not" not in page.tags
    assert page.links and all(link[0] == "#" and link[1:] in page.ids for link in page.links)
    assert "1 not tested, 1 supported" in text and "<svg" in text
    assert "&lt;not a tag&gt;" in text
    # It is not replaced unless that is asked for, and conducts nothing on its own.
    assert main(["claim", "--book", str(book)]) == 2
    assert main(["claim", "--book", str(book), "--force"]) == 0
    with Store.open_readonly() as store:
        assert len(store.studies()) == 2
