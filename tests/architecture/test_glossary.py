"""Words that were retired stay out: they are archaic, or mean too many things at once.

``CONTRIBUTING.md`` has the words that replace them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import optlab

ROOT = Path(optlab.__file__).parents[1]
FILES = [
    *sorted((ROOT / "optlab").rglob("*.py")),
    *(path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)),
    *sorted((ROOT / "resources" / "presets").glob("*.toml")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
]

RETIRED = {
    # identifiers
    r"Sight|StepSight": "StepContext",
    r"Rack|fit_out": "InstrumentRunner, restore",
    r"Oracle|oracle": "BatchObjective",
    r"Told": "ProgressCallback",
    r"def take": "compute, read, receive, add, acquire: what it does",
    r"Circumstances|circumstances": "InitializationContext, context",
    r"judges|detours": "has_own_loss, uses_surrogate_gradient",
    r"Question|QuestionBridge": "Task, TaskBridge",
    r"UNDISTURBED": "NO_PROGRESS",
    r"Warmth|Companions|Consultation|DoctorsNote|Notebook": "HOUSE names of the window's parts",
    r"_lose_patience|_let_go|_obituary": "_kill_on_timeout, _close_writer, _exit_message",
    r"MOST_\w+|_MOST": "MAX_…",
    # words
    r"[Tt]old|untold": "reported, said, shown",
    r"[Ww]hence|[Tt]hither|[Hh]ither|[Aa]lbeit|[Ll]est|[Nn]ought|[Uu]pon": "plain words",
    r"for ever": "forever, endlessly, without end",
    # `make bench` runs the benchmarks; "bench/" begins the names of random streams.
    r"(?<!make )(?<!optlab )(?<!def )(?<![\"`(])[Bb]ench(es)?(?!/)": "demonstration (a benchmark is a benchmark)",
    r"fatal step": "diverging step",
    r"doctor's note": "diagnosis",
}


@pytest.mark.parametrize("pattern", RETIRED)
def test_that_retired_words_stay_out(pattern: str) -> None:
    retired = re.compile(rf"(?<![\w.-])(?:{pattern})(?![\w-])")
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
        if retired.search(line)
    ]
    assert not wrong, f"use {RETIRED[pattern]}; {len(wrong)} lines:\n" + "\n".join(wrong)


def test_that_the_check_finds_a_retired_word() -> None:
    retired = re.compile(rf"(?<![\w.-])(?:{'|'.join(RETIRED)})(?![\w-])")
    assert retired.search("what was told of the run") and retired.search("class Oracle:")
    assert not retired.search("a benchmark") and not retired.search("--bench")
    assert not retired.search("QMessageBox.Icon.Question")
