"""What the plots over steps share: unit of the axis, smoothing, bands over seeds, and the crosshair."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QWidget

from optlab.tasks.run_scales import X_LABELS, X_UNITS, XUnit

BandKind = Literal["none", "range", "quartiles"]
BANDS: dict[BandKind, str] = {
    "none": "Every run as a curve",
    "range": "Mean, with a band from minimum to maximum",
    "quartiles": "Mean, with a band of the middle half",
}
SMOOTHINGS = (0.0, 0.6, 0.9, 0.97, 0.99, 0.999)
"""Weights of the past that the menu offers."""


class PlotLink(QObject):
    """Links plots over steps: what is chosen in the menu of one applies to all.

    Args:
        parent: owner; its window is the parent of the menus.

    Signals: ``changed()``: unit, smoothing or bands; ``pointed(object, object)``: position on the
    horizontal axis under the mouse, None for nowhere, and the plot that the mouse is in.
    """

    changed = Signal()
    pointed = Signal(object, object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._unit: XUnit = "steps"
        self._smoothing = 0.0
        self._band: BandKind = "range"
        self.units = _menu(
            "&Horizontal axis",
            {unit: X_LABELS[unit] for unit in X_UNITS},
            self.set_unit,
            parent,
        )
        self.smoothings = _menu(
            "&Smoothing",
            {
                weight: f"Average of about {1.0 / (1.0 - weight):,.0f} values" if weight else "None"
                for weight in SMOOTHINGS
            },
            self.set_smoothing,
            parent,
        )
        self.bands = _menu("Runs that differ in their see&ds", BANDS, self.set_band, parent)
        self._show()

    @property
    def menus(self) -> tuple[QMenu, ...]:
        """The menus, which may be part of several others."""
        return (self.units, self.smoothings, self.bands)

    @property
    def unit(self) -> XUnit:
        """Unit of the horizontal axis."""
        return self._unit

    @property
    def smoothing(self) -> float:
        """Weight of the past in the moving average; 0 without one."""
        return self._smoothing

    @property
    def band(self) -> BandKind:
        """What is drawn of runs that differ in nothing but their seeds."""
        return self._band

    def set_unit(self, unit: XUnit) -> None:
        """Set the unit of the horizontal axis."""
        self._set("_unit", unit)

    def set_smoothing(self, weight: float) -> None:
        """Set the weight of the past in the moving average, from 0 to less than 1; 0 for none."""
        self._set("_smoothing", weight)

    def set_band(self, band: BandKind) -> None:
        """Set what is drawn of runs that differ in nothing but their seeds."""
        self._set("_band", band)

    def state(self) -> dict[str, str | float]:
        """Return what is chosen, for :meth:`restore`."""
        return {"unit": self._unit, "smoothing": self._smoothing, "band": self._band}

    def restore(self, state: object) -> None:
        """Choose what :meth:`state` has returned; anything else changes nothing."""
        if not isinstance(state, dict):
            return
        unit, band, smoothing = state.get("unit"), state.get("band"), state.get("smoothing")
        if unit in X_UNITS:
            self.set_unit(unit)
        for kind in BANDS:
            if band == kind:
                self.set_band(kind)
        if isinstance(smoothing, int | float) and 0.0 <= smoothing < 1.0:
            self.set_smoothing(float(smoothing))

    def _set(self, name: str, value: object) -> None:
        if getattr(self, name) != value:
            setattr(self, name, value)
            self._show()
            self.changed.emit()

    def _show(self) -> None:
        for menu, value in zip(self.menus, (self._unit, self._smoothing, self._band), strict=True):
            for action in menu.actions():
                action.setChecked(action.data() == value)


def _menu(title: str, texts: dict, choose: object, parent: QWidget) -> QMenu:  # type: ignore[type-arg]
    menu = QMenu(title, parent)
    group = QActionGroup(menu)
    for value, text in texts.items():
        action = QAction(text, menu)
        action.setData(value)
        action.setCheckable(True)
        group.addAction(action)
        menu.addAction(action)
    group.triggered.connect(lambda action: choose(action.data()))  # type: ignore[operator]
    return menu
