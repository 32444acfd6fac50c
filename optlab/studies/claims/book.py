"""The book of all claims: one page in HTML, without scripts, that refers to nothing outside of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optlab.studies.claims.claim import Claim, is_negative
from optlab.studies.figures.charts import EffectRow, effects
from optlab.studies.figures.markup import PAGE, STYLE, figure, table, text

_TITLE = "Claims: the notes put to the test"


def page(
    claims: Sequence[Claim],
    found: Mapping[str, Mapping[str, Any]],
    pictures: Mapping[str, str] | None = None,
) -> str:
    """Return the book as HTML.

    Args:
        found: id → what was found, as ``claim --json`` has it; claims without are shown as not
            tested. pictures: id → a figure of its curves, as HTML, where its runs are stored.

    Raises:
        InvalidInput: matplotlib is not installed.
    """
    counts: dict[str, int] = {}
    for claim in claims:
        verdict = _verdict(found.get(claim.id))
        counts[verdict] = counts.get(verdict, 0) + 1
    summary = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    sections = [
        f"<h1>{text(_TITLE)}</h1>",
        f"<p>{len(claims)} statements of the notes on optimization for training deep models, and of "
        "what came after them. Each was given a protocol, a margin and a negative control before it "
        f"was tested. A verdict holds here: at this size, with these data and this budget. "
        f"{text(summary)}.</p>",
        _contents(claims, found),
    ]
    for place, claim in enumerate(claims):
        before = claims[place - 1].id if place else ""
        after = claims[place + 1].id if place + 1 < len(claims) else ""
        sections.extend(_section(claim, found.get(claim.id), before, after))
        if pictures and pictures.get(claim.id):
            sections.insert(-1, pictures[claim.id])
    return PAGE.format(title=text(_TITLE), style=STYLE + _BADGES, body="\n".join(sections))


def _verdict(found: Mapping[str, Any] | None) -> str:
    return str(found["verdict"]) if found else "not tested"


def _badge(verdict: str) -> str:
    return f'<span class="badge {text(verdict.replace(" ", "-"))}">{text(verdict)}</span>'


def _contents(claims: Sequence[Claim], found: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{text(claim.id)}">{text(claim.id)}</a></td>'
        f"<td>{text(claim.text.statement)}</td><td>{text(claim.text.chapter)}</td>"
        f"<td>{_badge(_verdict(found.get(claim.id)))}</td></tr>"
        for claim in claims
    )
    return (
        '<div class="wide"><table id="contents"><thead><tr><th>Claim</th><th>Statement</th>'
        f"<th>Section</th><th>Verdict here</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _section(
    claim: Claim, found: Mapping[str, Any] | None, before: str, after: str
) -> Iterator[str]:
    written, decision = claim.text, claim.study.decision
    yield (
        f'<h2 id="{text(claim.id)}">{text(claim.id)}. {text(written.statement)} '
        f"{_badge(_verdict(found))}</h2>"
    )
    yield f"<blockquote>{text(written.notes)} <cite>({text(written.chapter)})</cite></blockquote>"
    yield table(
        ("What", "How"),
        [
            ("Protocol", written.protocol),
            ("Statement", decision.statement or "every two arms differ"),
            ("Margin", f"{decision.effect} of {decision.margin:g}. {written.margin}"),
            ("Negative control", written.negative),
            ("What to try next", written.next),
        ],
    )
    if found is not None:
        yield from _found(claim, found)
    links = [f'<a href="#{text(one)}">{text(one)}</a>' for one in (before, after) if one]
    links.append('<a href="#contents">all claims</a>')
    yield f'<p class="links">{" · ".join(links)} · run it: <code>optlab claim {claim.id}</code></p>'


def _found(claim: Claim, found: Mapping[str, Any]) -> Iterator[str]:
    decision = claim.study.decision
    ratio = decision.effect == "ratio"
    rows = [
        EffectRow(
            _pair(one),
            _number(one["effect"], math.nan),
            _number(one["interval"][0], -math.inf),
            _number(one["interval"][1], math.inf),
        )
        for one in found["comparisons"]
    ]
    if any(math.isfinite(row.effect) for row in rows):
        around = (1.0 / decision.margin if ratio else -decision.margin, decision.margin)
        yield figure(
            effects(rows, around, f"{decision.effect} of {found['measure']}"[:90], log=ratio),
            "Effects with their intervals; the margin is gray.",
        )
    yield table(
        ("Comparison", "Effect", "Interval", "Adjusted p", "Verdict", "Method"),
        [
            (
                _pair(one),
                _shown(one["effect"]),
                _interval(one["interval"]),
                _shown(one["p_adjusted"]),
                str(one["verdict"]),
                str(one["method"]),
            )
            for one in found["comparisons"]
        ],
    )
    sound = "as it must" if is_negative(found["control"]) else "so the verdict says nothing"
    yield (
        f"<p>{text(found['seeds'])} seeds per arm, {found['seconds']:.0f} seconds, on "
        f"{text(found['date'])} with OptLab {text(found['versions'].get('optlab', '?'))}. The "
        f"negative control is {_badge(str(found['control']))}, {sound}.</p>"
    )


def _pair(one: Mapping[str, Any]) -> str:
    if not one["against"]:
        return str(one["relation"])
    return f"{one['arm']} {one['relation']} {one['against']}"


def _interval(ends: Sequence[float | None]) -> str:
    low, high = ends
    return f"[{'−∞' if low is None else _shown(low)}, {'∞' if high is None else _shown(high)}]"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _number(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else float(value)


_BADGES = """
.badge { font-size: .8rem; font-weight: 600; padding: .1rem .5rem; border-radius: 1rem;
  color: #fff; background: #59636e; white-space: nowrap; }
.badge.supported { background: #1a7f37; } .badge.contradicted { background: #cf222e; }
.badge.undecided { background: #7d4e00; }
blockquote { margin: .5rem 0; padding-left: 1rem; border-left: .2rem solid #d0d7de; color: #57606a; }
td:first-child { white-space: nowrap; } .links { font-size: .9rem; }
"""
