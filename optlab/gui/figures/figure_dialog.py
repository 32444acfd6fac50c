"""The dialog that saves a tile as a figure: format, size and colors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from optlab.core.errors import OptLabError
from optlab.gui.figures.figure import (
    FORMATS,
    MM_PER_INCH,
    SIZES,
    FigureSize,
    has_picture,
    write_figure,
)
from optlab.gui.manners import file_dialogs
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.subject import file_name, subject_of

_CUSTOM = "Other"
_UNITS = {"mm": 1.0, "inches": MM_PER_INCH}
_KINDS = {
    "pdf": "PDF: lines and text, for paper",
    "svg": "SVG: lines, text as outlines",
    "png": "PNG: a picture",
}
_NOTE = (
    "The color map is a picture of this resolution in the file; lines and text stay lines and text."
)
_last: list[FigureSize] = []
"""The size that was used last, for the next figure."""


class FigureDialog(QDialog):
    """Asks how to save what a tile shows, and saves it.

    Args:
        content: of the tile. title: of the tile. parent: above which it opens.

    Signals: ``saved(str)``: path of the file.
    """

    saved = Signal(str)

    def __init__(self, content: QWidget, title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._content, self._title = content, title
        self._has_picture = has_picture(content)
        self.setWindowTitle("Save figure")
        self.format = QComboBox()
        for kind in FORMATS:
            self.format.addItem(_KINDS[kind], kind)
        self.preset = QComboBox()
        self.preset.addItems([*SIZES, _CUSTOM])
        self.width_box, self.height_box = QDoubleSpinBox(), QDoubleSpinBox()
        self.unit = QComboBox()
        self.unit.addItems(list(_UNITS))
        self.dpi = QSpinBox()
        self.dpi.setRange(50, 2400)
        self.dpi.setSuffix(" pixels per inch")
        self.light = QCheckBox("Light colors on white, for paper")
        self.light.setChecked(True)
        self.note = PlainLabel(_NOTE)
        self.note.setProperty("role", "muted")
        self.note.setWordWrap(True)
        self.problem = PlainLabel("")
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        for box, name in (
            (self.format, "Format"),
            (self.preset, "Size"),
            (self.width_box, "Width"),
            (self.height_box, "Height"),
            (self.unit, "Unit"),
            (self.dpi, "Resolution"),
        ):
            box.setAccessibleName(name)
        self._size = _last[0] if _last else next(iter(SIZES.values()))
        sizes = QHBoxLayout()
        for part in (self.width_box, PlainLabel("×"), self.height_box, self.unit):
            sizes.addWidget(part)
        form = QFormLayout()
        form.addRow("Format", self.format)
        form.addRow("Size", self.preset)
        form.addRow("Width × height", sizes)
        form.addRow("Resolution", self.dpi)
        form.addRow("", self.note)
        form.addRow("", self.light)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.button(QDialogButtonBox.StandardButton.Save).setText("Save…")
        buttons.accepted.connect(self._choose)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        self._set_unit()
        self._show_size(self._size)
        self._show_format()
        self.preset.currentTextChanged.connect(self._preset_chosen)
        self.unit.currentTextChanged.connect(lambda _text: self._unit_chosen())
        self.format.currentIndexChanged.connect(lambda _index: self._show_format())
        # The other side keeps its value, which its box may show rounded.
        self.width_box.valueChanged.connect(
            lambda value: self._typed(replace(self._size, width=value * self._millimeters()))
        )
        self.height_box.valueChanged.connect(
            lambda value: self._typed(replace(self._size, height=value * self._millimeters()))
        )

    def size_in_mm(self) -> FigureSize:
        """Return the size that is asked for."""
        return replace(self._size, dpi=self.dpi.value())

    def save(self, path: Path) -> bool:
        """Save the figure, and return whether it was; else the dialog says why not."""
        size = self.size_in_mm()
        try:
            write_figure(self._content, path, size, light=self.light.isChecked())
        except OptLabError as error:
            self.problem.setText(str(error))
            self.problem.show()
            return False
        _last[:] = [size]
        self.saved.emit(str(path))
        self.accept()
        return True

    def _choose(self) -> None:
        kind = str(self.format.currentData())
        name, _ = file_dialogs.save_file(
            self,
            "Save figure",
            file_name(subject_of(self._content), self._title, kind),
            f"{kind.upper()} (*.{kind})",
        )
        if name:
            path = Path(name)
            self.save(path if path.suffix.lower() == f".{kind}" else Path(f"{name}.{kind}"))

    def _preset_chosen(self, name: str) -> None:
        if name in SIZES:
            self._show_size(SIZES[name])

    def _show_size(self, size: FigureSize) -> None:
        unit = self._millimeters()
        for spin, value in ((self.width_box, size.width), (self.height_box, size.height)):
            spin.blockSignals(True)
            spin.setValue(value / unit)
            spin.blockSignals(False)
        self.dpi.setValue(size.dpi)
        self._size = size
        self._show_preset()

    def _typed(self, size: FigureSize) -> None:
        self._size = size
        self._show_preset()

    def _millimeters(self) -> float:
        """Return the millimeters of the unit that is chosen."""
        return _UNITS[self.unit.currentText()]

    def _show_preset(self) -> None:
        """Name the size that the numbers have."""
        asked = self.size_in_mm()
        name = next(
            (
                name
                for name, size in SIZES.items()
                if abs(size.width - asked.width) < 0.05 and abs(size.height - asked.height) < 0.05
            ),
            _CUSTOM,
        )
        self.preset.blockSignals(True)
        self.preset.setCurrentText(name)
        self.preset.blockSignals(False)

    def _set_unit(self) -> None:
        unit = self._millimeters()
        for spin in (self.width_box, self.height_box):
            spin.blockSignals(True)
            spin.setDecimals(1 if unit == 1.0 else 3)
            spin.setRange(20.0 / unit, 2000.0 / unit)
            spin.blockSignals(False)

    def _unit_chosen(self) -> None:
        size = self.size_in_mm()
        self._set_unit()
        self._show_size(size)

    def _show_format(self) -> None:
        vector = self.format.currentData() != "png"
        self.note.setVisible(vector and self._has_picture)
        # Lines and text have no resolution.
        self.dpi.setEnabled(not vector or self._has_picture)
