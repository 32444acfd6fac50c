"""The dialog of preferences."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from optlab.core import paths
from optlab.gui.manners.preferences import (
    FONT_SIZES,
    MAX_MEGABYTES,
    MAX_THREADS,
    Preferences,
)
from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.panels.time_panel import PACES
from optlab.gui.plain_text import wrapped_label
from optlab.gui.theme import ThemeName

_SYSTEM_FONT = FONT_SIZES[0] - 1


class PreferencesDialog(QDialog):
    """Edits preferences.

    Args:
        preferences: shown at first. parent: the window.
    """

    def __init__(self, preferences: Preferences, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Preferences")
        self._before = preferences
        self.theme = QComboBox()
        for name in get_args(ThemeName):
            self.theme.addItem(f"{name.capitalize()} colors", name)
        self.theme.setCurrentIndex(self.theme.findData(preferences.theme))
        self.font_size = _spin(_SYSTEM_FONT, FONT_SIZES[1], " pt")
        self.font_size.setSpecialValueText("Same as the system")
        self.font_size.setValue(preferences.font_size or _SYSTEM_FONT)
        self.threads = _spin(1, MAX_THREADS, "")
        self.threads.setValue(preferences.threads)
        self.pace = QComboBox()
        for text, rate in PACES.items():
            self.pace.addItem(text, rate)
        self.pace.setCurrentIndex(max(0, self.pace.findData(preferences.pace)))
        self.snapshots = _spin(0, MAX_MEGABYTES, " MB")
        self.snapshots.setValue(preferences.snapshot_megabytes)
        self.asks = QCheckBox("Ask before closing")
        self.asks.setChecked(preferences.ask_before_closing)
        self.asks.setToolTip(
            "Ask while a run is in progress or edits are not saved. Otherwise the run is stopped and "
            "saved, and the edits are there at the next start."
        )
        self.folder = ElidedLabel(str(paths.home()))
        self.folder.setAccessibleName("Data folder")
        note = wrapped_label("muted")
        note.setText(
            "To use another data folder, set OPTLAB_HOME to it and start OptLab again; runs are not "
            "moved."
        )
        form = QFormLayout()
        for label, widget, tip in (
            ("&Theme", self.theme, "Colors of the window; system: those of the desktop"),
            ("&Font size", self.font_size, "Of all texts"),
            (
                "T&hreads",
                self.threads,
                "CPU threads of the experiments that are opened from the presets; small models are "
                "fastest with one",
            ),
            ("&Pace", self.pace, "How many steps a second a run takes at most, at the next start"),
            (
                "&Snapshots",
                self.snapshots,
                "Megabytes of snapshots that a run keeps, evenly spaced over its steps; the first "
                "and the newest two are kept in any case",
            ),
        ):
            widget.setToolTip(tip)
            widget.setAccessibleName(label.replace("&", ""))
            widget.setAccessibleDescription(tip)
            form.addRow(label, widget)
        form.addRow("", self.asks)
        form.addRow("Data folder", self.folder)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(note)
        layout.addWidget(buttons)
        self.setMinimumWidth(420)

    def preferences(self) -> Preferences:
        """Return what is shown."""
        size = self.font_size.value()
        return replace(
            self._before,
            theme=self.theme.currentData(),
            font_size=0 if size == _SYSTEM_FONT else size,
            threads=self.threads.value(),
            pace=float(self.pace.currentData()),
            snapshot_megabytes=self.snapshots.value(),
            ask_before_closing=self.asks.isChecked(),
        )


def _spin(least: int, most: int, suffix: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(least, most)
    spin.setSuffix(suffix)
    return spin
