"""The sections of a study that is being written: tuning, measure, decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSpinBox

from optlab.catalogue.measures.base import Measure
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.printable import printable
from optlab.gui.studies.field_row import ProblemForm
from optlab.studies.comparison.checks import END_FIGURES
from optlab.studies.comparison.fields import TO_TARGET
from optlab.tasks.study_draft import DraftTuning

_WHATS = {
    "final": "Final value",
    "best": "Best value",
    "mean": "Mean over all steps",
    "at": "Value at a step",
    "steps_to": "Steps to a target",
    "epochs_to": "Epochs to a target",
    "evaluations_to": "Gradient evaluations to a target",
    "seconds_to": "Seconds to a target",
}
_RELATIONS = {
    "<": "is lower for A than for B",
    ">": "is higher for A than for B",
    "~": "is the same for A and B, within the margin",
    "!=": "differs between A and B",
    "": "differs between every two arms",
}
_EFFECTS = {"difference": "difference", "ratio": "ratio", "log-ratio": "difference of logarithms"}


def _number(edit: QLineEdit, where: str, name: str) -> float:
    try:
        value = float(edit.text())
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"{name} is '{edit.text()[:40]}', but it must be a number.", where)
    return value


def _choices(texts: dict[str, str]) -> QComboBox:
    box = QComboBox()
    for value, text in texts.items():
        box.addItem(text, value)
    return box


def measure_names() -> list[str]:
    """Return the names of the measures with one number a step."""
    return [name for name in registry.names(Measure) if name != "weights"]


class TuneSection(ProblemForm):
    """Which field every arm tunes, and how.

    Signals: ``edited()``.
    """

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.on = QCheckBox("Every arm tunes a field, with the same number of settings")
        self.path, self.by, self.scale = QComboBox(), QComboBox(), QComboBox()
        self.path.setEditable(True)
        self.path.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.low, self.high = QLineEdit("0.001"), QLineEdit("1.0")
        self.points, self.seeds = QSpinBox(), QSpinBox()
        self.points.setRange(2, 1000)
        self.points.setValue(7)
        self.seeds.setRange(1, 1000)
        self.by.addItems(measure_names())
        self.by.setCurrentText("validation_loss")
        self.scale.addItems(["log", "linear"])
        self.add_row("on", "Tune", self.on)
        self.add_row("path", "Field", self.path, "Path of the field, such as optimizer.lr")
        self.add_row("from", "From", self.low)
        self.add_row("to", "To", self.high)
        self.add_row("points", "Settings", self.points)
        self.add_row("scale", "Spacing", self.scale)
        self.add_row(
            "by", "By", self.by, "Measure whose final value chooses; never the one decided"
        )
        self.add_row("seeds", "Seeds of its own", self.seeds)
        self.each = QCheckBox("Again for each seed that decides")
        self.each.setToolTip(
            "The intervals then contain what tuning leaves to chance; costs that many times the "
            "tuning"
        )
        self.add_row("each", "", self.each)
        self.each.toggled.connect(lambda _on: self.edited.emit())
        self.on.toggled.connect(lambda _on: self._switch())
        for box in (self.path, self.by, self.scale):
            box.currentTextChanged.connect(lambda _text: self.edited.emit())
        for edit in (self.low, self.high):
            edit.textEdited.connect(lambda _text: self.edited.emit())
        for spin in (self.points, self.seeds):
            spin.valueChanged.connect(lambda _value: self.edited.emit())
        self._show_rows()

    def set_paths(self, paths: Sequence[str]) -> None:
        """Set the fields that are offered."""
        chosen = self.path.currentText() or "optimizer.lr"
        blocked = self.path.blockSignals(True)
        self.path.clear()
        self.path.addItems(list(paths))
        self.path.setCurrentText(chosen)
        self.path.blockSignals(blocked)

    def tuning(self) -> DraftTuning | None:
        """Return what the section says, None where nothing is tuned.

        Raises:
            InvalidInput: a number is none.
        """
        if not self.on.isChecked():
            return None
        return DraftTuning(
            self.path.currentText().strip(),
            _number(self.low, "tune.from", "From"),
            _number(self.high, "tune.to", "To"),
            self.points.value(),
            self.scale.currentText(),
            self.by.currentText(),
            self.seeds.value(),
            self.each.isChecked(),
        )

    def _switch(self) -> None:
        self._show_rows()
        self.edited.emit()

    def _show_rows(self) -> None:
        for name in ("path", "from", "to", "points", "scale", "by", "seeds", "each"):
            self.set_row_visible(name, self.on.isChecked())


class MeasureSection(ProblemForm):
    """What is measured of each run.

    Signals: ``edited()``.
    """

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.what, self.of = _choices(_WHATS), QComboBox()
        self.of.addItems([*measure_names(), *END_FIGURES])
        self.of.setCurrentText("validation_loss")
        self.target = QLineEdit("0.05")
        self.step = QSpinBox()
        self.step.setRange(0, 10**9)
        self.reached = _choices({"below": "lower values", "above": "higher values"})
        self.add_row("what", "What", self.what)
        self.add_row("of", "Of", self.of)
        self.add_row("target", "Target", self.target)
        self.add_row("step", "Step", self.step)
        self.add_row("reached", "Better are", self.reached)
        for box in (self.what, self.of, self.reached):
            box.currentIndexChanged.connect(lambda _index: self._switch())
        self.target.textEdited.connect(lambda _text: self.edited.emit())
        self.step.valueChanged.connect(lambda _value: self.edited.emit())
        self._show_rows()

    def values(self) -> dict[str, Any]:
        """Return the fields of the section.

        Raises:
            InvalidInput: the target is no number.
        """
        what = self.what.currentData()
        found: dict[str, Any] = {"what": what, "of": self.of.currentText()}
        if what in TO_TARGET:
            found["target"] = _number(self.target, "measure.target", "The target")
        if what == "at":
            found["step"] = self.step.value()
        found["reached"] = self.reached.currentData()
        return found

    def _switch(self) -> None:
        self._show_rows()
        self.edited.emit()

    def _show_rows(self) -> None:
        what = self.what.currentData()
        self.set_row_visible("target", what in TO_TARGET)
        self.set_row_visible("step", what == "at")


class DecideSection(ProblemForm):
    """What is stated of the arms, and how large an effect matters.

    Signals: ``edited()``.
    """

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.relation = _choices(_RELATIONS)
        self.relation.setCurrentIndex(self.relation.findData(""))
        self.arm, self.against, self.effect = QComboBox(), QComboBox(), _choices(_EFFECTS)
        self.margin, self.level = QLineEdit("0"), QLineEdit("0.95")
        self.add_row("statement", "The measure", self.relation)
        self.add_row("arm", "A", self.arm)
        self.add_row("against", "B", self.against)
        self.add_row("effect", "Compared by", self.effect)
        self.add_row(
            "margin",
            "Margin",
            self.margin,
            "The smallest effect that matters: 0 for any difference, 1 for any ratio",
        )
        self.add_row("level", "Level", self.level, "Confidence of the intervals")
        for box in (self.relation, self.arm, self.against):
            box.currentIndexChanged.connect(lambda _index: self._switch())
        self.effect.currentIndexChanged.connect(lambda _index: self._effect_chosen())
        for edit in (self.margin, self.level):
            edit.textEdited.connect(lambda _text: self.edited.emit())
        self._show_rows()

    def set_arms(self, names: Sequence[str]) -> None:
        """Set the names of the arms; the chosen ones stay where they still exist, by place."""
        for box, otherwise in ((self.arm, 1), (self.against, 0)):
            place = box.currentIndex()
            blocked = box.blockSignals(True)
            box.clear()
            for name in names:
                box.addItem(printable(name), name)
            box.setCurrentIndex(
                place if 0 <= place < len(names) else min(otherwise, len(names) - 1)
            )
            box.blockSignals(blocked)

    def values(self) -> dict[str, Any]:
        """Return the fields of the section.

        Raises:
            InvalidInput: margin or level is no number.
        """
        relation = self.relation.currentData()
        pair = f"{self.arm.currentData()} {relation} {self.against.currentData()}"
        return {
            "statement": pair if relation else "",
            "effect": self.effect.currentData(),
            "margin": _number(self.margin, "decide.margin", "The margin"),
            "level": _number(self.level, "decide.level", "The level"),
        }

    def _switch(self) -> None:
        self._show_rows()
        self.edited.emit()

    def _effect_chosen(self) -> None:
        """Put the margin at any effect, where it was there for the effect before."""
        any_effect = {"ratio": "1"}.get(self.effect.currentData(), "0")
        if self.margin.text() in ("0", "1"):
            self.margin.setText(any_effect)
        self.edited.emit()

    def _show_rows(self) -> None:
        for name in ("arm", "against"):
            self.set_row_visible(name, bool(self.relation.currentData()))
