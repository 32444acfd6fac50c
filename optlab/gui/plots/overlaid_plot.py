"""A plot over steps on which other runs, and bands over seeds, can be laid.

While the plot shows one run, each series has its color. With several, each run has its own, each
series keeps its line style, and the legend switches both.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtGui import QResizeEvent

from optlab.gui.plots.band_item import BandItem
from optlab.gui.plots.curve import Curve, Floats
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.overlay import Band, BandSamples, Overlay, SeriesKey
from optlab.gui.plots.pyramid import Pyramid
from optlab.gui.plots.value_export import StoredReader, StoredValues
from optlab.gui.plots.x_scales import OWN

_LEGEND_SHARE = 0.3
"""Share of the height of a plot that the legend of several runs may take."""


@dataclass(frozen=True)
class Line:
    """How a series is drawn.

    Attributes:
        name: name of the series. optional: most runs lack it, so the legend shows it only once it
            has values. sparse: a run may lack a value (NaN) at a step at which another has one;
            its curve then has no gap there. Others: as in :meth:`CurvePlot.add_curve`.
    """

    name: str
    label: str
    color: int
    dashes: tuple[float, ...] = ()
    pale: bool = False
    strong: bool = False
    shown: bool = True
    optional: bool = False
    sparse: bool = False


class OverlaidPlot(CurvePlot):
    """A plot on which other runs can be laid."""

    _overlays: tuple[Overlay, ...] = ()
    _bands: tuple[Band, ...] = ()
    _factor = 1.0

    @property
    @abstractmethod
    def lines(self) -> Sequence[Line]:
        """The series that can be laid over the plot."""

    @abstractmethod
    def own_key(self, line: Line) -> str:
        """Return the key of the curve of a line of the run that the plot follows."""

    # --- the interface of the overlay -------------------------------------------

    @property
    def overlay_series(self) -> frozenset[SeriesKey]:
        """The series that the plot draws of other runs."""
        return frozenset(self._series_key(line) for line in self.lines)

    def set_overlays(self, overlays: Sequence[Overlay], bands: Sequence[Band] = ()) -> None:
        """Lay these runs over the plot in place of those before; samples of its own run stay.

        Args:
            overlays: the runs, in the order of the legend. One of them may be the plot's own.
            bands: over those of them that differ in nothing but their seeds.
        """
        laid = (tuple(overlays), tuple(bands))
        if laid == (self._overlays, self._bands):
            # The table of runs is read again and again while one is in progress; to lay the same
            # runs anew would draw every plot in one frame.
            return
        self._overlays, self._bands = laid
        self._arrange()

    @property
    def own_overlay(self) -> Overlay | None:
        """How the run that the plot follows is called beside others; None while it is alone."""
        if not any(not one.own or not one.visible for one in self._overlays):
            return None
        return next((one for one in self._overlays if one.own), None)

    def _series_key(self, line: Line) -> SeriesKey:
        return SeriesKey(line.name, self._factor, line.sparse)

    # --- curves -----------------------------------------------------------------

    def rearrange(self) -> None:
        """Bring curves and legend in line with the runs again, where there are several."""
        if self._overlays:
            self._arrange()

    def is_overlay(self, key: str) -> bool:
        """Return whether a key is that of a curve of another run."""
        return _AT in key

    def remove_all(self) -> None:
        """Remove all curves of the run that is followed; those of other runs stay."""
        self.remove_own()
        self.rearrange()

    def _arrange(self) -> None:
        """Bring curves and legend in line with the runs that are laid over the plot."""
        others = [one for one in self._overlays if not one.own]
        wanted = self._wanted(others)
        for key in self.keys:
            if self.curve(key).run != OWN and key not in wanted:
                self._drop(key)
        checked = self._checked()
        with self.legend.rebuilt():
            self._build_legend(others, checked)
        for key, (owner, line, samples, average, folded) in wanted.items():
            self._lay(key, owner, line, samples, average, folded)
        for one in others:
            self.scales.set(_run_of(one), one.scale)
        for band in self._bands:
            self.scales.set(_run_of(band), band.scale)
        self._restyle_own()
        self._limit_legend()
        self._apply_switches()
        self._steady.reset()

    def _wanted(
        self, others: Sequence[Overlay]
    ) -> dict[str, tuple[Overlay | Band, Line, Pyramid, Pyramid | None, bool]]:
        wanted: dict[str, tuple[Overlay | Band, Line, Pyramid, Pyramid | None, bool]] = {}
        for line in self.lines:
            series = self._series_key(line)
            for one in others:
                if series in one.samples:
                    wanted[_key(line, one.run)] = (
                        one,
                        line,
                        one.samples[series],
                        one.averages.get(series),
                        one.folded,
                    )
            for band in self._bands:
                if series in band.samples:
                    found: BandSamples = band.samples[series]
                    wanted[_key(line, _run_of(band))] = (
                        band,
                        line,
                        found.mean,
                        found.average,
                        False,
                    )
        return wanted

    def _lay(
        self,
        key: str,
        owner: Overlay | Band,
        line: Line,
        samples: Pyramid,
        average: Pyramid | None,
        folded: bool,
    ) -> None:
        groups = (_entry(_run_of(owner)), line.name)
        label = f"{line.label}, {owner.name}"
        if key not in self.keys:
            self.add_curve(
                key,
                label,
                owner.color,
                dashes=line.dashes,
                pale=line.pale,
                strong=line.strong,
                groups=groups,
            )
        curve = self.curve(key)
        curve.run, curve.folded = _run_of(owner), folded
        curve.restyle(label, owner.color, groups)
        curve.samples = samples
        curve.show_average(average)

    def _drop(self, key: str) -> None:
        self.remove_curve(key)
        item = self._band_items.pop(key, None)
        if item is not None:
            self.canvas.view.removeItem(item)

    # --- the legend -------------------------------------------------------------

    def _checked(self) -> dict[str, bool]:
        """Return which entries are checked: a series has one key, whether or not it is alone."""
        own = {self.own_key(line): line.name for line in self.lines}
        return {
            own.get(key, key): self.legend.entry(key).isChecked()
            for key in self.legend.keys()  # noqa: SIM118 - a method, not a mapping
        }

    def _build_legend(self, others: Sequence[Overlay], checked: Mapping[str, bool]) -> None:
        several = bool(others) or self.own_overlay is not None
        for line in self.lines:
            if not self._present(line, others):
                continue
            shown = checked.get(line.name, line.shown)
            if several:
                self.add_group(
                    line.name, line.label, dashes=line.dashes, pale=line.pale, shown=shown
                )
            else:
                self.add_group(
                    self.own_key(line),
                    line.label,
                    line.color,
                    dashes=line.dashes,
                    pale=line.pale,
                    shown=shown,
                )

        for key in self._own_keys_beside_lines():
            curve = self.curve(key)
            self.add_group(
                key, curve.label, curve.color, dashes=curve.dashes, shown=checked.get(key, True)
            )
        if several:
            # After the series, so that a low plot cuts them off first: the runs panel has them too.
            own = self.own_overlay
            if own is not None:
                self.add_group(_entry(OWN), own.name, own.color, shown=own.visible)
            for band in self._bands:
                self._add_entry(_entry(_run_of(band)), band.name, band.color, checked)
            for one in others:
                if not one.folded:
                    self._add_entry(_entry(one.run), one.name, one.color, checked)

    def _own_keys_beside_lines(self) -> list[str]:
        """Return the keys of curves that no other run has."""
        lines = {self.own_key(line) for line in self.lines}
        return [
            key
            for key in self.keys
            if self.curve(key).run == OWN and not self.is_overlay(key) and key not in lines
        ]

    def _limit_legend(self) -> None:
        """Leave most of the plot to its curves, however many runs there are."""
        several = bool(self._overlays) and bool(self._groups_of_runs())
        self.legend.set_room(max(20, int(_LEGEND_SHARE * self.height())) if several else None)

    def _groups_of_runs(self) -> list[str]:
        return [key for key in self.legend.keys() if key.startswith(_ENTRY)]  # noqa: SIM118

    def resizeEvent(self, event: QResizeEvent) -> None:  # Qt's name
        """Keep the share of the legend."""
        super().resizeEvent(event)
        self._limit_legend()

    def _add_entry(self, key: str, name: str, color: int, checked: Mapping[str, bool]) -> None:
        self.add_group(key, name, color, shown=checked.get(key, True))

    def _present(self, line: Line, others: Sequence[Overlay]) -> bool:
        series = self._series_key(line)
        return self.own_key(line) in self.keys or any(series in one.samples for one in others)

    def _restyle_own(self) -> None:
        others = [one for one in self._overlays if not one.own]
        own = self.own_overlay
        for line in self.lines:
            key = self.own_key(line)
            if key not in self.keys:
                continue
            curve = self.curve(key)
            if not others and own is None:
                curve.restyle(line.label, line.color, (key,))
            elif own is None:
                curve.restyle(line.label, -1, (line.name,))
            else:
                curve.restyle(f"{line.label}, {own.name}", own.color, (_entry(OWN), line.name))

    # --- drawing ----------------------------------------------------------------

    @property
    def _band_items(self) -> dict[str, BandItem]:
        if not hasattr(self, "_items"):
            self._items: dict[str, BandItem] = {}
        return self._items

    def _draw_bands(self, points: Callable[[Curve, Pyramid], tuple[Floats, Floats]]) -> None:
        for band in self._bands:
            for line in self.lines:
                key = _key(line, _run_of(band))
                if key not in self.keys:
                    continue
                curve = self.curve(key)
                if key not in self._band_items:
                    self._band_items[key] = BandItem()
                    self.canvas.view.addItem(self._band_items[key], ignoreBounds=True)
                item = self._band_items[key]
                visible = curve.shown and self.scales.known(curve.run)
                item.setVisible(visible)
                if visible:
                    found = band.samples[self._series_key(line)]
                    item.draw(
                        points(curve, found.low),
                        points(curve, found.high),
                        self.colors.curve(band.color),
                    )

    # --- export -----------------------------------------------------------------

    def _stored_reader(self, key: str) -> StoredReader:
        run = self.curve(key).run
        if run == OWN:
            return self._own_reader(key)
        if run.startswith(_BAND):
            return lambda: None
        name = key.partition(_AT)[0]
        factor = self._factor
        source = StoredValues([run])

        def read():  # type: ignore[no-untyped-def]
            stored = source(name, 0)
            return None if stored is None else (stored[0], stored[1] * factor)

        return read

    def _own_reader(self, key: str) -> StoredReader:
        """Return a function that reads all stored values of a curve of the run that is followed."""
        return lambda: None


_AT = "@"
_BAND = "band "
_ENTRY = "run "


def _run_of(owner: Overlay | Band) -> str:
    """Return what stands for a run or a band where a curve has the id of its run."""
    return owner.run if isinstance(owner, Overlay) else f"{_BAND}{owner.key}"


def _key(line: Line, run: str) -> str:
    return f"{line.name}{_AT}{run}"


def _entry(run: str) -> str:
    return f"{_ENTRY}{run}"
