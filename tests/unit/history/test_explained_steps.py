"""One step explained: the numbers are those of the step, for every rule of the catalogue."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from optlab.catalogue.optimizers.base import Optimizer
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.plain_math import plain
from optlab.experiment import Experiment
from optlab.history.clauses import clauses, with_numbers
from optlab.history.explaining import explain, shown
from optlab.training.control import SetValue

FORMS: list[dict[str, Any]] = [
    {"name": "momentum", "form": "torch"},
    {"name": "nesterov", "form": "torch"},
    {"name": "rmsprop", "form": "torch"},
    {"name": "conjugate_gradient", "form": "fletcher_reeves"},
    {"name": "conjugate_gradient", "form": "polak_ribiere"},
]
OWN: list[dict[str, Any]] = [
    *(
        {"name": component.name}
        for component in registry.components(Optimizer)
        if not component.own_modules and not component.name.startswith("torch.")
    ),
    *FORMS,
]
# One way leads to all optimizers of torch.
RULES = [*OWN, {"name": "torch.adam"}, {"name": "torch.muon"}]
WHOLE = {"batches": {"name": "shuffled", "size": 0}}
STEP = 7
DUE: dict[str, dict[str, Any]] = {"lookahead": {"period": STEP}}
"""Fields with which every line of a rule is part of this step."""
UNREADABLE = re.compile(r"\\(min|max|exp|ln|mathrm\{rule\})")
"""What the reader of this test does not know."""


def explained(lab, rule: dict[str, Any], parameter: str = "", **sections: Any):
    rule = {**rule, **DUE.get(rule["name"], {})}
    optimizer = registry.build(Optimizer, rule)
    closures = {} if optimizer.elementwise or rule["name"].startswith("torch.") else WHOLE
    experiment = lab.experiment(
        optimizer=rule,
        precision="float64",
        model={"name": "linear"},
        budget={"steps": 12},
        **{**closures, **sections},
    )
    run = lab.train(experiment)
    return run, explain(lab.moment(run, STEP - 1), parameter), optimizer


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(rule.values()))
def test_that_what_is_shown_is_the_step_that_was_taken(lab, rule):
    run, found, optimizer = explained(lab, rule, "layers.0.weight[1,0]")
    before, after = (lab.moment(run, step).snapshot.theta for step in (STEP - 1, STEP))
    place = [optimizer_name(lab, run, index) for index in range(len(after))].index(
        "layers.0.weight[1,0]"
    )
    assert (found.step, found.parameter) == (STEP, "layers.0.weight[1,0]")
    assert found.before == before[place] and found.after == after[place]
    recorded = lab.store.series_between(run, "batch_loss", STEP, STEP)
    assert found.loss == recorded.values[0] and found.exact is True
    lines = [line for line in found.lines if line.symbol in ("θ", "θ₊", "m", "θ_B")]
    if rule["name"] != "cma_es" and lines:
        named = [line.value for line in lines if line.value is not None]
        assert after[place] in named
    assert len(found.lines) == len(clauses(optimizer.lines()))
    if optimizer.traced:
        assert len(optimizer.traced) == len(found.lines)
    else:  # of code that declares nothing, only what comes out is known
        known = [line.symbol for line in found.lines if line.value is not None]
        assert known in ([], ["θ"])


def optimizer_name(lab, run: str, index: int) -> str:
    return Experiment.from_toml(lab.record(run).experiment).layout().weight_name(index)


@pytest.mark.parametrize(
    "rule",
    [rule for rule in OWN if registry.build(Optimizer, rule).elementwise],
    ids=lambda rule: "-".join(rule.values()),
)
def test_that_each_line_computes_what_the_code_computes(lab, rule):
    _, found, optimizer = explained(lab, rule, clipping={"name": "norm", "threshold": 0.01})
    checked = 0
    for line, clause in zip(found.lines, clauses(optimizer.lines()), strict=True):
        if not line.numbers:
            assert r"\nabla" in line.latex
            continue
        if UNREADABLE.search(clause.right):
            continue
        full = with_numbers(clause.right, lambda symbol, line=line: _exact(line.used.get(symbol)))
        assert line.value == pytest.approx(evaluated(full), rel=1e-12, abs=1e-15)
        assert set(re.findall(r"\d", line.numbers))
        checked += 1
    assert checked >= 1 and found.lines[-1].value is not None
    assert all(line.value is not None for line in found.lines)


def _exact(number: float | None) -> str | None:
    return None if number is None else f"{number!r}"


def evaluated(latex: str) -> float:
    """The value of a right side in which every symbol is a number.

    By a small reader of the few commands that elementwise rules have, independent of their code.
    """
    return _Reader(latex.replace(r"\left", "").replace(r"\right", "").replace(r"\,", "")).sum()


class _Reader:
    def __init__(self, latex: str) -> None:
        pattern = r"\\mathrm\{sign\}|\\[a-z]+|\d+(?:\.\d+)?(?:e[-+]?\d+)?|[-+^(){}]"
        self.tokens = re.findall(pattern, latex)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def sum(self) -> float:
        sign = -1.0 if self.peek() == "-" and self.next() else 1.0
        total = sign * self.product()
        while self.peek() in ("+", "-"):
            total += (1.0 if self.next() == "+" else -1.0) * self.product()
        return total

    def product(self) -> float:
        value = self.power()
        while self.peek() not in ("", "+", "-", ")", "}"):
            if self.peek() in (r"\odot", r"\cdot"):
                self.next()
            value *= self.power()
        return value

    def power(self) -> float:
        value = self.factor()
        if self.peek() == "^":
            self.next()
            value **= self.factor()
        return value

    def factor(self) -> float:
        token = self.next()
        if token in ("(", "{"):
            value = self.sum()
            self.next()
            return value
        if token == r"\frac":
            return self.factor() / self.factor()
        if token == r"\sqrt":
            return math.sqrt(self.factor())
        if token == r"\mathrm{sign}":
            value = self.factor()
            return math.copysign(1.0, value) if value else 0.0
        return float(token)


def test_adam_in_words(lab):
    run, found, _ = explained(lab, {"name": "adam", "lr": 0.5})
    texts = [plain(f"{line.symbol} = {line.numbers}") for line in found.lines]
    g = next(one for one in found.quantities if one.symbol == "g")
    old = next(one for one in found.quantities if one.symbol == "s")
    assert old.meaning == "first moment, initially 0" and old.norm > abs(old.value)

    def sign(number: float) -> str:
        return f"({plain(shown(number))})" if number < 0 else plain(shown(number))

    assert texts[0] == f"s = 0.9 · {sign(old.value)} + (1 − 0.9) · {sign(g.value)}"
    assert texts[2].endswith(" / (1 − 0.9⁷)")
    assert found.lines[0].value == pytest.approx(0.9 * old.value + 0.1 * g.value, rel=1e-12)
    # By default the parameter that moves most.
    before, after = (lab.moment(run, step).snapshot.theta for step in (STEP - 1, STEP))
    assert abs(found.after - found.before) == abs(after - before).max()


def test_that_values_changed_by_hand_and_clipping_are_shown(lab):
    experiment = lab.experiment(
        optimizer={"name": "sgd"}, clipping={"name": "norm", "threshold": 0.001}
    )
    run = lab.train(experiment, [(20, SetValue("optimizer.lr", 0.03))])
    found = explain(lab.moment(run, 20))
    (line,) = found.lines
    assert line.used["ε"] == 0.03
    raw = next(one for one in found.quantities if one.meaning == "gradient before clipping")
    used = next(one for one in found.quantities if one.symbol == "g" and one is not raw)
    assert used.norm == pytest.approx(0.001, rel=1e-5) and raw.norm == pytest.approx(
        found.gradient_norm
    )
    with pytest.raises(InvalidInput, match="nothing"):
        explain(lab.moment(run, 20), "nothing")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.1, "0.1"), (-2.5, "-2.5"), (1e-8, "10^{-8}"), (1.25e-7, r"1.25 \times 10^{-7}")],
)
def test_that_numbers_are_typeset(number, text):
    assert shown(number) == text
