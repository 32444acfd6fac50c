"""The surface window: functions of one and two variables, and any number of methods that race on
them.

Everything is computed in a worker and comes back as arrays; the window plays them. A change of the
surface, a method or a start computes the race anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QColor, QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMenu,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.catalogue.surfaces.base import Surface
from optlab.core import registry
from optlab.core.fields import FieldSet, integer, number
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.forms.component_form import ComponentForm
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.section import Section
from optlab.gui.panels.help_page import HelpPage
from optlab.gui.panels.tile import Tile
from optlab.gui.plots.contour_plot import ContourPlot
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.relief import Floats, Mark, Relief, Track
from optlab.gui.plots.relief_view import ReliefView
from optlab.gui.plots.ticks import readable
from optlab.gui.surfaces.describe import describe
from optlab.gui.surfaces.line_plot import LinePlot
from optlab.gui.surfaces.methods_panel import MethodsPanel
from optlab.gui.surfaces.scenes import Scene, default_methods, scenes
from optlab.gui.surfaces.terms_table import TermsTable
from optlab.gui.surfaces.timeline import Timeline
from optlab.studies.surfaces.descent import Race
from optlab.studies.surfaces.stationary import LOST, Basins, CriticalPoints
from optlab.tasks.surfaces import BasinsTask, CriticalTask, PictureTask, RaceTask, SurfacePicture

_SETTLE_MILLISECONDS = 120
_PLURALS = {"minimum": "minima", "maximum": "maxima", "saddle": "saddles", "kink": "kinks"}


class RacePlan(FieldSet):
    """How long a race goes, and how noisy its gradients are."""

    steps: int = integer(
        100,
        "Steps",
        ge=1,
        le=20_000,
        log=True,
        slider=(10, 2000),
        help="Steps that each method takes.",
    )
    noise: float = number(
        0.0,
        "Gradient noise",
        symbol="σ",
        ge=0.0,
        le=1e6,
        slider=(0.0, 5.0),
        help="Standard deviation of the noise on each component of the gradient; the same draws for every method.",
    )


class SurfaceWindow(QMainWindow):
    """The window. ``closed``: it was closed by the user."""

    closed = Signal()

    def __init__(self, warmth: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Surfaces – OptLab")
        self.resize(1480, 900)
        self._picture: SurfacePicture | None = None
        self._race: Race | None = None
        self._raced: tuple[Any, ...] = ()
        self._play_next = False
        self._shown_once = False
        self.pictures, self.races, self.searches = (TaskBridge(warmth.pool, self) for _ in range(3))
        self.surface_form = ComponentForm("surface")
        self.plan = FieldsForm(RacePlan, "race")
        self.methods = MethodsPanel()
        self.contours, self.line, self.view = ContourPlot(), LinePlot(), ReliefView()
        self.heights = CurvePlot("Height f", log_y=False)
        self.gradients = CurvePlot("Norm of the gradient", log_y=True)
        self.terms = TermsTable()
        self.timeline = Timeline()
        self.note, self.words = QLabel(""), QLabel("")
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(_SETTLE_MILLISECONDS)
        self._settling.timeout.connect(self._ask_race)
        self._build()
        self._connect()
        self.apply_theme()
        self.show_scene(scenes()[2], play=False)

    # --- building -----------------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = QWidget()
        column.setObjectName("experimentColumn")
        stack = QVBoxLayout(column)
        stack.setContentsMargins(8, 8, 8, 8)
        stack.setSpacing(8)
        scene_button = QToolButton()
        scene_button.setText("Scenes of the notes")
        scene_button.setToolTip("The figures of the notes, one click each")
        scene_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        scene_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.scene_menu = QMenu(scene_button)
        for scene in scenes():
            self.scene_menu.addAction(scene.title, partial(self.show_scene, scene))
        scene_button.setMenu(self.scene_menu)
        self.note.setWordWrap(True)
        self.note.setProperty("role", "muted")
        stack.addWidget(scene_button)
        stack.addWidget(Section("Surface", self.surface_form, opened=True))
        stack.addWidget(self.note)
        stack.addWidget(Section("Methods", self.methods, opened=True))
        stack.addWidget(Section("Race", self.plan, opened=True))
        stack.addStretch(1)
        scroll = QScrollArea()
        scroll.setObjectName("experimentScroll")
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumWidth(400)
        scroll.setWidget(column)

        self.plane = QStackedWidget()
        self.plane.addWidget(self.contours)
        self.plane.addWidget(self.line)
        self.view_tile = Tile("Seen from aside", self.view)
        above = QSplitter(Qt.Orientation.Horizontal)
        above.addWidget(Tile("Seen from above", self.plane))
        above.addWidget(self.view_tile)
        above.setSizes([1000, 800])
        curves = QTabWidget()
        curves.setDocumentMode(True)
        curves.addTab(self.heights, "Height")
        curves.addTab(self.gradients, "Gradient norm")
        self.of_method = Tile("Terms", self.terms)
        below = QSplitter(Qt.Orientation.Horizontal)
        below.addWidget(Tile("Over the steps", curves))
        below.addWidget(self.of_method)
        below.setSizes([1000, 800])
        plots = QSplitter(Qt.Orientation.Vertical)
        for row in (above, below):
            row.setChildrenCollapsible(False)
            plots.addWidget(row)
        plots.setSizes([1000, 520])
        plots.setChildrenCollapsible(False)

        self.critical_button = self._check(
            "Critical points",
            "Find minima, maxima and saddles, and mark them with their eigenvectors",
        )
        self.basins_button = self._check(
            "Basins",
            "Color the plane by where the selected method ends from each start, darker the longer it takes",
        )
        self.play_button = QPushButton("Race")
        self.play_button.setObjectName("primary")
        self.play_button.setToolTip("Let the methods go, from the start (Ctrl+Return)")
        self.play_button.setShortcut("Ctrl+Return")
        self.words.setWordWrap(True)
        controls = QHBoxLayout()
        controls.addWidget(self.play_button)
        controls.addWidget(self.timeline, 1)
        controls.addWidget(self.critical_button)
        controls.addWidget(self.basins_button)
        right = QWidget()
        layout = QVBoxLayout(right)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(plots, 1)
        layout.addLayout(controls)
        layout.addWidget(self.words)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(scroll)
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([430, 1050])
        self.setCentralWidget(split)

    def _check(self, text: str, words: str) -> QPushButton:
        button = QPushButton(text)
        button.setCheckable(True)
        button.setToolTip(words)
        return button

    def _connect(self) -> None:
        self.surface_form.changed.connect(self._surface_edited)
        self.surface_form.pageRequested.connect(self.show_page)
        self.methods.pageRequested.connect(self.show_page)
        self.methods.methodsChanged.connect(self._methods_edited)
        self.methods.selectionChanged.connect(lambda _row: self._show_step())
        self.plan.fieldEdited.connect(lambda _name: self._settling.start())
        self.contours.pointPicked.connect(lambda x, y: self._move_start((x, y)))
        self.line.pointPicked.connect(lambda x: self._move_start((x,)))
        self.contours.set_description(self._described)
        self.timeline.stepChanged.connect(lambda _step: self._show_step())
        self.play_button.clicked.connect(self.race)
        self.critical_button.toggled.connect(lambda _on: self._ask_about_surface())
        self.basins_button.toggled.connect(lambda _on: self._ask_about_surface())
        self.pictures.answered.connect(self._take_picture)
        self.pictures.failed.connect(self.surface_form.show_problem)
        self.races.answered.connect(self._take_race)
        self.races.failed.connect(self._race_failed)
        self.searches.answered.connect(self._take_search)
        self.searches.failed.connect(self.say)
        theme.notifier().themeChanged.connect(self.apply_theme)

    def apply_theme(self) -> None:
        """Follow the theme in what does not follow the palette by itself."""
        colors = theme.current().plots
        for part in (self.contours, self.line, self.view, self.heights, self.gradients):
            part.set_colors(colors)
        self.methods.set_colors(colors)

    # --- what is shown --------------------------------------------------------------------------------------------------------------

    def show_scene(self, scene: Scene, *, play: bool = True) -> None:
        """Set the window to a scene, and let it go."""
        self.surface_form.set_values(_whole(scene.surface))
        self.methods.set_methods(scene.methods)
        self.methods.set_colors(theme.current().plots)
        self.plan.set_values({"steps": scene.steps, "noise": scene.noise})
        self.say(scene.words)
        self._play_next = play
        self._surface_changed()

    def race(self) -> None:
        """Let the methods go, from the start."""
        if self._race is not None and self._raced == self._asked():
            self.timeline.play()
        else:
            self._play_next = True
            self._ask_race()

    def say(self, sentence: str) -> None:
        """Say something below the plots."""
        self.words.setText(sentence)

    def show_page(self, kind: str, name: str) -> None:
        """Open the page of a component."""
        page = HelpPage(kind, name, self)
        page.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        page.show()

    # --- asking ---------------------------------------------------------------------------------------------------------------------

    def _surface_edited(self) -> None:
        if self.surface_form.errors():
            return
        surface = self._surface()
        if self._picture is None or self._picture.section["name"] != surface.name:
            self.methods.set_methods(default_methods(surface, surface.starts()[0].point))
            self.methods.set_colors(theme.current().plots)
        self.say("")
        self._surface_changed()

    def _surface_changed(self) -> None:
        for button in (self.critical_button, self.basins_button):
            button.blockSignals(True)
            button.setChecked(False)
            button.blockSignals(False)
        self._race = None
        if self._shown_once:
            self.pictures.ask(PictureTask(self.surface_form.values()))
            self._settling.start()

    def _methods_edited(self) -> None:
        self._settling.start()
        if self.basins_button.isChecked():
            self.basins_button.setChecked(False)

    def _asked(self) -> tuple[Any, ...]:
        return (self.surface_form.values(), self.methods.methods(), self.plan.values())

    def _ask_race(self) -> None:
        if not self.methods.ready() or self.surface_form.errors() or self.plan.errors():
            return
        self._raced = self._asked()
        values = self.plan.values()
        self.races.ask(
            RaceTask(
                self.surface_form.values(), self.methods.methods(), values["steps"], values["noise"]
            )
        )

    def _ask_about_surface(self) -> None:
        if not self.critical_button.isChecked():
            self.contours.set_marks(())
        if not self.basins_button.isChecked():
            self.contours.set_picture(None)
        if self._picture is None:
            return
        if self.basins_button.isChecked():
            self.say("Running the selected method from thousands of starts…")
            self.searches.ask(
                BasinsTask(
                    self.surface_form.values(),
                    self.methods.methods()[self.methods.selected],
                    self.plan.values()["steps"],
                )
            )
        elif self.critical_button.isChecked():
            self.searches.ask(CriticalTask(self.surface_form.values()))

    # --- answers --------------------------------------------------------------------------------------------------------------------

    def _take_picture(self, picture: SurfacePicture) -> None:
        self._picture = picture
        self.surface_form.show_problem("")
        flat = len(picture.axes) == 1
        self.plane.setCurrentWidget(self.line if flat else self.contours)
        self.view_tile.setVisible(not flat)
        for button in (self.critical_button, self.basins_button):
            button.setEnabled(not flat)
        self.note.setText(picture.note)
        self.note.setVisible(bool(picture.note))
        if flat:
            self.line.set_function(picture.axes[0], picture.heights)
        else:
            relief = Relief(picture.axes[0], picture.axes[1], picture.heights)
            self.contours.set_relief(relief)
            self.view.set_relief(relief)
        self._show_step()

    def _take_race(self, race: Race) -> None:
        self._race = race
        self.methods.say("")
        self._draw_curves(race)
        self.timeline.set_steps(len(race.positions) - 1)
        if self._play_next:
            self._play_next = False
            self.timeline.play()
        self._show_step()

    def _race_failed(self, sentence: str) -> None:
        self._race = None
        self.methods.say(sentence)
        self._show_step()

    def _take_search(self, found: CriticalPoints | Basins) -> None:
        if isinstance(found, Basins):
            self._show_basins(found)
        else:
            self._show_critical(found)

    def _show_critical(self, found: CriticalPoints) -> None:
        self.contours.set_marks(
            [
                Mark(one.kind or "degenerate", one.point, one.eigenvalues, one.eigenvectors.T)
                for one in found.points
            ]
        )
        kinds = [one.kind or "degenerate" for one in found.points]
        counts = ", ".join(
            f"{kinds.count(kind)} {kind if kinds.count(kind) == 1 else _PLURALS.get(kind, kind)}"
            for kind in dict.fromkeys(kinds)
        )
        listed = "; ".join(
            f"({', '.join(readable(float(x), 3) for x in one.point)}) {one.sentence}, f = {readable(one.value, 4)}"
            for one in found.points[:6]
        )
        more = f" … and {len(found.points) - 6} more" if len(found.points) > 6 else ""
        self.say(
            f"Critical points: {counts}. {listed}{more}"
            if found.points
            else "No critical point lies in this part of the plane."
        )

    def _show_basins(self, found: Basins) -> None:
        colors = theme.current().plots
        owner = found.owner.astype(int)
        inks = [QColor(colors.curve(index)) for index in range(len(found.targets))]
        elsewhere, lost = QColor(colors.grid), QColor(colors.foreground)
        table = np.array(
            [[ink.red(), ink.green(), ink.blue()] for ink in (*inks, lost, elsewhere)], dtype=float
        )
        picture = table[np.where(owner == LOST, len(inks), owner)]  # ELSEWHERE is -1, the last row
        longest = max(1, int(found.steps.max()))
        shade = np.where(found.steps >= 0, 1.0 - 0.6 * found.steps / longest, 1.0)[..., None]
        ground = QColor(colors.background)
        base = np.array([ground.red(), ground.green(), ground.blue()], dtype=float)
        mixed = base + (picture - base) * (0.35 + 0.65 * shade)
        self.contours.set_picture(np.clip(mixed, 0, 255).astype(np.uint8))
        shares = [
            f"({', '.join(readable(float(x), 3) for x in one.point)}) {float((owner == k).mean()):.0%}"
            for k, one in enumerate(found.targets)
        ]
        label = self.methods.methods()[self.methods.selected].label
        self.say(
            f"{label}, where each start ends: {'; '.join(shares)}; elsewhere {float((owner == -1).mean()):.0%}, diverged {float((owner == LOST).mean()):.0%}. "
            f"Pale: takes longer, at most {longest:,} steps."
        )

    # --- drawing --------------------------------------------------------------------------------------------------------------------

    def _draw_curves(self, race: Race) -> None:
        for plot in (self.heights, self.gradients):
            plot.remove_all()
        steps = np.arange(len(race.positions))
        for index, method in enumerate(self.methods.methods()[: race.positions.shape[1]]):
            end = int(race.lengths[index]) + 1
            for plot, values in (
                (self.heights, race.values[:, index]),
                (self.gradients, np.linalg.norm(race.gradients[:, index], axis=1)),
            ):
                plot.add_curve(str(index), method.label, method.color, strong=True)
                plot.append(str(index), steps[:end], values[:end])
        for plot in (self.heights, self.gradients):
            plot.follow()
            plot.refresh()

    def _show_step(self) -> None:
        race, step, selected = self._race, self.timeline.step, self.methods.selected
        methods = self.methods.methods()
        if race is None or race.positions.shape[1] != len(methods):
            for part in (self.contours, self.line, self.view):
                part.set_tracks(())
            self.terms.show_terms({})
            return
        tracks = [
            self._track(
                race, index, methods[index].label, methods[index].color, step, index == selected
            )
            for index in range(len(methods))
        ]
        for part in (self.contours, self.line, self.view):
            part.set_tracks(tracks)
        last = int(race.lengths[selected])
        self.of_method.title.setText(
            f"Terms of {methods[selected].label}, step {min(step, last):,}"
        )
        self.terms.show_terms(race.terms(selected, max(0, min(step, last) - 1)) if last else {})
        if (
            not self.critical_button.isChecked()
            and not self.basins_button.isChecked()
            and step == len(race.positions) - 1
            and not self.timeline.playing
        ):
            self.say(self._outcome(race, methods))

    @staticmethod
    def _track(race: Race, run: int, label: str, color: int, step: int, selected: bool) -> Track:
        at = min(step, int(race.lengths[run]))
        velocity = race.states[run].get("v") if selected else None
        return Track(
            label,
            color,
            race.positions[: at + 1, run],
            cast(Floats, velocity[at]) if velocity is not None else None,
            race.gradients[at, run] if selected else None,
        )

    @staticmethod
    def _outcome(race: Race, methods: Sequence[Any]) -> str:
        parts: list[str] = []
        for run, method in enumerate(methods):
            if race.reasons[run]:
                parts.append(f"{method.label}: diverged, {race.reasons[run]}")
            else:
                went = f"path {readable(race.path_length(run), 3)} for a distance of {readable(race.distance(run), 3)}"
                parts.append(
                    f"{method.label}: f = {readable(float(race.values[-1, run]), 3)}, {went}"
                )
        return "  ·  ".join(parts)

    def _described(self, x: float, y: float) -> str:
        if self._picture is None or len(self._picture.axes) != 2:
            return ""
        relief = Relief(self._picture.axes[0], self._picture.axes[1], self._picture.heights)
        return describe(self._picture, (x, y), float(relief.heights_at(np.array([[x, y]]))[0]))

    # --- hands ----------------------------------------------------------------------------------------------------------------------

    def _move_start(self, point: tuple[float, ...]) -> None:
        everyone = bool(QGuiApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier)
        self.methods.move_start(point, everyone=everyone)

    def _surface(self) -> Surface:
        return registry.build(Surface, self.surface_form.values())

    # --- beginning and end ----------------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        super().showEvent(event)
        if not self._shown_once:
            self._shown_once = True
            QTimer.singleShot(0, self, self._surface_changed)

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        self.shut_down()
        self.closed.emit()
        event.accept()

    def shut_down(self) -> None:
        """Give up what is under way."""
        self._settling.stop()
        self.timeline.hold()
        for bridge in (self.pictures, self.races, self.searches):
            bridge.shut_down()


def _whole(section: Any) -> dict[str, Any]:
    """A section with all fields, those it leaves out at their defaults."""
    built = registry.build("surface", section)
    return {"name": built.name, **built.values()}
