"""A protocol that is broken on purpose comes to another verdict, for each kind of decision.

Each case is a small claim. Broken means: the labels of two arms are swapped, or the control is made
positive, that is, what the control changes is taken back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from optlab.runners.study import LocalLauncher
from optlab.store import Store
from optlab.studies.claims.claim import Claim, is_negative
from optlab.studies.claims.conducting import ClaimEnded, conduct_claims
from optlab.studies.claims.reading import from_toml
from optlab.studies.comparison.conduct import Launcher
from optlab.studies.comparison.study import Study
from optlab.training.control import Inbox

TEXTS = """
id = "K1"
statement = "It holds."
chapter = "8.1"
notes = "words"
protocol = "words"
margin = "words"
negative = "words"
next = "words"
"""
PROBES = """
[study.probe]
name = "descent"
surface = '{ name = "quadratic", condition = 4.0 }'
optimizer = '{ name = "sgd", lr = 0.1 }'
spread = 0.5
[study.arms.one]
probe.steps = 12
[study.arms.two]
probe.steps = 3
[study.seeds]
count = 4
"""
RUNS = """
[study]
base = "iris-softmax"
[study.set]
budget.steps = 20
measures.evaluate_every = 1
[study.arms.one]
optimizer.lr = 0.3
[study.arms.two]
optimizer.lr = 0.003
[study.seeds]
count = 4
data = true
"""


def decided(statement: str, effect: str = "difference", margin: float = 0.0, more: str = "") -> str:
    return (
        f'[study.decide]\nstatement = "{statement}"\neffect = "{effect}"\nmargin = {margin}\n{more}'
    )


SAME_STEPS = "[control.arms.one]\nprobe.steps = 3\n"
MOMENTS = """
[study.arms.one.measure]
what = "final"
[study.arms.two.measure]
what = "first"
"""
# name → claim, and the two texts that are exchanged to swap the labels of the arms
CASES: dict[str, tuple[str, tuple[str, str]]] = {
    "below": (PROBES + decided("one < two", margin=1.0) + SAME_STEPS, ("steps = 12", "steps = 3")),
    "above": (
        PROBES + decided("two > one", "ratio", 1.5) + SAME_STEPS,
        ("steps = 12", "steps = 3"),
    ),
    "log-ratio": (
        PROBES + decided("one < two", "log-ratio", 0.1) + SAME_STEPS,
        ("steps = 12", "steps = 3"),
    ),
    "different": (
        PROBES + decided("one != two", "ratio", 1.05) + "[control.arms.one]\nprobe.steps = 3\n",
        ("one != two", "one ~ two"),
    ),
    "equivalent": (
        PROBES.replace("steps = 12", "steps = 3")
        + decided("one ~ two", "ratio", 1.05)
        + "[control.arms.one]\nprobe.steps = 12\n",
        ("one ~ two", "one != two"),
    ),
    "a line": (
        PROBES
        + "[study.arms.line.probe]\nname = 'constant'\nvalue = 2000.0\n"
        + decided("one < line")
        + "[control.arms.line.probe]\nvalue = 1.0\n",
        ("one < line", "line < one"),
    ),
    "falls": (
        PROBES
        + "[study.arms.three]\nprobe.steps = 30\n"
        + decided("falls", "slope", 0.0, 'along = "probe.steps"\naxes = "log-log"\n')
        + '[control.probe]\nof = "distance"\n',
        ("steps = 12", "steps = 300"),
    ),
    "slope": (
        PROBES
        + "[study.arms.three]\nprobe.steps = 6\n"
        # One step along each axis divides ½(u² + 4w²) by 0.81 or more.
        + decided("slope ~ -0.25", "slope", 0.1, 'along = "probe.steps"\naxes = "log-y"\n')
        + "[control.probe]\noptimizer = '{ name = \"sgd\", lr = 0.001 }'\n",
        ("slope ~ -0.25", "slope ~ 0.25"),
    ),
    "a final value of runs": (
        RUNS
        + '[study.measure]\nof = "train_loss"\n'
        + decided("one < two", margin=0.05)
        + "[control.arms.one]\noptimizer.lr = 0.003\n",
        ("lr = 0.3", "lr = 0.003"),
    ),
    "steps to a target, censored": (
        # The ranks of four seeds cannot decide anything at this level.
        RUNS.replace("count = 4", "count = 8")
        + '[study.measure]\nwhat = "steps_to"\nof = "train_loss"\ntarget = 0.7\n'
        + decided("one < two", "ratio", 1.2)
        + "[control.arms.one]\noptimizer.lr = 0.003\n",
        ("lr = 0.3", "lr = 0.003"),
    ),
    "two comparisons": (
        PROBES
        + "[study.arms.three]\nprobe.steps = 1\n"
        + decided("one < two, three > two", "ratio", 1.2)
        + SAME_STEPS,
        # One part is turned; the other still holds.
        ("three > two", "three < two"),
    ),
    "a tuned rate": (
        # Each at its best rate, so the number of steps alone can decide.
        RUNS.replace("optimizer.lr = 0.3", "budget.steps = 30").replace(
            "optimizer.lr = 0.003", "budget.steps = 2"
        )
        + '[study.tune]\n"optimizer.lr" = [0.003, 0.3]\nby = "validation_loss"\nseeds = 1\n'
        + '[study.measure]\nof = "train_loss"\n'
        + decided("one < two", margin=0.05)
        + "[control.arms.one]\nbudget.steps = 2\n",
        ("steps = 30\n", "steps = 2\n"),
    ),
    "a mean over the steps": (
        RUNS
        + '[study.measure]\nwhat = "mean"\nof = "train_loss"\n'
        + decided("one < two", margin=0.05)
        + "[control.arms.one]\noptimizer.lr = 0.003\n",
        ("lr = 0.3", "lr = 0.003"),
    ),
    "two moments of a run": (
        RUNS.replace("lr = 0.003", "lr = 0.3")
        + MOMENTS
        + '[study.measure]\nof = "train_loss"\n'
        + decided("one < two", margin=0.05)
        + '[control.arms.one.measure]\nwhat = "first"\n',
        ('what = "final"', 'what = "first"'),
    ),
}


def swapped(text: str, pair: tuple[str, str]) -> str:
    """Exchange two texts in the part of the study; the control stays."""
    study, control = text.split("[control", 1)
    one, two = pair
    if two in study:
        study = study.replace(one, "\0").replace(two, one).replace("\0", two)
    else:
        study = study.replace(one, two)
    return f"{study}[control{control}"


def conducted(claim: Claim, folder: Path) -> tuple[str, str]:
    """The verdicts of a claim and of its control."""
    with Store.open(folder) as store:

        @contextlib.contextmanager
        def launch(study: Study) -> Iterator[Launcher]:
            launcher = LocalLauncher(store, "thread", study)
            yield launcher
            launcher.close()

        *_, last = conduct_claims([claim], store, launch, Inbox())
    assert isinstance(last, ClaimEnded)
    assert last.outcome is not None, last.reason
    document = last.outcome.document()
    return document["verdict"], document["control"]


@pytest.mark.parametrize("name", CASES)
def test_that_a_broken_protocol_comes_to_another_verdict(name: str, tmp_path: Path) -> None:
    text, pair = CASES[name]
    sound = from_toml(TEXTS + text)
    verdict, control = conducted(sound, tmp_path)
    assert verdict == "supported" and is_negative(control)  # type: ignore[arg-type]
    if name == "falls":
        # No order of the arms can turn a trend: the statement itself is turned.
        broken = from_toml(TEXTS + text.replace('statement = "falls"', 'statement = "rises"'))
    else:
        broken = from_toml(TEXTS + swapped(text, pair))
    assert broken.study != sound.study
    assert conducted(broken, tmp_path)[0] == "contradicted"
    # A control that is no control: the study itself.
    positive = Claim(sound.text, sound.study, sound.study, True)
    assert not is_negative(conducted(positive, tmp_path)[1])  # type: ignore[arg-type]
