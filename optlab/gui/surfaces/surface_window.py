"""The surface window: functions of one and two variables on which methods race.

A worker computes everything and returns arrays, which the window plays. The race is recomputed
whenever the surface, a method or a start changes.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
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
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.forms.component_form import ComponentForm
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.section import Section
from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.panels.help_page import HelpPage
from optlab.gui.panels.tile import Tile
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.contour_plot import ContourPlot
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.relief import Floats, Mark, Relief, Track
from optlab.gui.plots.relief_view import ReliefView
from optlab.gui.plots.subject import set_subject
from optlab.gui.surfaces.describe import describe
from optlab.gui.surfaces.line_plot import LinePlot
from optlab.gui.surfaces.methods_panel import MethodsPanel
from optlab.gui.surfaces.race_settings import RaceSettings
from optlab.gui.surfaces.results import (
    basins_image,
    basins_text,
    critical_points_text,
    race_text,
)
from optlab.gui.surfaces.scenes import Scene, default_methods, first_scene, scenes
from optlab.gui.surfaces.terms_table import TermsTable
from optlab.gui.surfaces.timeline import Timeline
from optlab.studies.surfaces.descent import Race
from optlab.studies.surfaces.stationary import Basins, CriticalPoints
from optlab.tasks.surfaces import BasinsTask, CriticalTask, PictureTask, RaceTask, SurfacePicture

_DEBOUNCE_MILLISECONDS = 120


class SurfaceWindow(QMainWindow):
    """The surface window.

    Signals: ``closed()``: the user closed the window.
    """

    closed = Signal()

    def __init__(self, prewarmer: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Surfaces – OptLab")
        resize_to_screen(self, 1480, 900)
        self._picture: SurfacePicture | None = None
        self._race: Race | None = None
        self._computed_for: tuple[Any, ...] = ()
        self._play_next = False
        self._shown_once = False
        self.pictures, self.races, self.searches = (
            TaskBridge(prewarmer.pool, self) for _ in range(3)
        )
        self.surface_form = ComponentForm("surface")
        self.race_form = FieldsForm(RaceSettings, "race")
        self.methods = MethodsPanel()
        self.contours, self.line, self.view = ContourPlot(), LinePlot(), ReliefView()
        self.heights = CurvePlot("Height f", log_y=False)
        self.gradients = CurvePlot("Norm of the gradient", log_y=True)
        self.terms = TermsTable()
        self.timeline = Timeline()
        self.note, self.status_label = PlainLabel(""), PlainLabel("")
        self._debounce = QTimer(self)
        self._debounce.setSingleShot(True)
        self._debounce.setInterval(_DEBOUNCE_MILLISECONDS)
        self._debounce.timeout.connect(self._request_race)
        self._build()
        self._connect()
        self.apply_theme()
        if (first := first_scene()) is not None:
            self.show_scene(first, play=False)

    # --- building -------------------------------------------------------------

    def _build(self) -> None:
        column = QWidget()
        column.setObjectName("experimentColumn")
        stack = QVBoxLayout(column)
        stack.setContentsMargins(8, 8, 8, 8)
        stack.setSpacing(8)
        scene_button = QToolButton()
        scene_button.setText("Scenes from the notes")
        scene_button.setToolTip("Set up a figure from the notes")
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
        stack.addWidget(Section("Race", self.race_form, opened=True))
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
        self.view_tile = Tile("3-D view", self.view)
        above = QSplitter(Qt.Orientation.Horizontal)
        above.addWidget(Tile("Contours", self.plane))
        above.addWidget(self.view_tile)
        above.setSizes([1000, 800])
        curves = QTabWidget()
        curves.setDocumentMode(True)
        curves.addTab(self.heights, "Height")
        curves.addTab(self.gradients, "Gradient norm")
        self.terms_tile = Tile("Terms", self.terms)
        below = QSplitter(Qt.Orientation.Horizontal)
        below.addWidget(Tile("Curves over steps", curves))
        below.addWidget(self.terms_tile)
        below.setSizes([1000, 800])
        plots = QSplitter(Qt.Orientation.Vertical)
        for row in (above, below):
            row.setChildrenCollapsible(False)
            plots.addWidget(row)
        plots.setSizes([1000, 520])
        plots.setChildrenCollapsible(False)

        self.critical_button = self._toggle(
            "Critical points",
            "Find minima, maxima and saddles, and mark them with their eigenvectors",
        )
        self.basins_button = self._toggle(
            "Basins",
            "Color each start by where the selected method ends, fainter the longer it takes",
        )
        self.play_button = QPushButton("Race")
        self.play_button.setObjectName("primary")
        self.play_button.setToolTip("Run all methods from their starts (Ctrl+Return)")
        self.play_button.setShortcut("Ctrl+Return")
        self.status_label.setWordWrap(True)
        controls = QHBoxLayout()
        controls.addWidget(self.play_button)
        controls.addWidget(self.timeline, 1)
        controls.addWidget(self.critical_button)
        controls.addWidget(self.basins_button)
        right = QWidget()
        layout = QVBoxLayout(right)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(plots, 1)
        # Below them, a text of more lines would move the buttons while they are being pressed.
        layout.addWidget(self.status_label)
        layout.addLayout(controls)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(scroll)
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([430, 1050])
        self.setCentralWidget(scrollable(split))

    def _toggle(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setCheckable(True)
        button.setToolTip(tip)
        return button

    def _connect(self) -> None:
        self.surface_form.changed.connect(self._surface_edited)
        self.surface_form.pageRequested.connect(self.show_page)
        self.methods.pageRequested.connect(self.show_page)
        self.methods.methodsChanged.connect(self._methods_edited)
        self.methods.selectionChanged.connect(lambda _row: self._show_step())
        self.race_form.fieldEdited.connect(lambda _name: self._debounce.start())
        self.contours.pointPicked.connect(lambda x, y: self._move_start((x, y)))
        self.line.pointPicked.connect(lambda x: self._move_start((x,)))
        self.contours.set_description(self._description_at)
        self.timeline.stepChanged.connect(lambda _step: self._show_step())
        self.play_button.clicked.connect(self.race)
        self.critical_button.toggled.connect(lambda _on: self._request_search())
        self.basins_button.toggled.connect(lambda _on: self._request_search())
        self.pictures.answered.connect(self._show_picture)
        self.pictures.failed.connect(self.surface_form.show_problem)
        self.races.answered.connect(self._show_race)
        self.races.failed.connect(self._race_failed)
        self.searches.answered.connect(self._show_search_result)
        self.searches.failed.connect(self.show_status)
        theme.notifier().themeChanged.connect(self.apply_theme)

    def apply_theme(self) -> None:
        """Apply the colors of the theme to widgets that do not use the palette."""
        colors = theme.current().plots
        for part in (self.contours, self.line, self.view, self.heights, self.gradients):
            part.set_colors(colors)
        self.methods.set_colors(colors)

    # --- contents --------------------------------------------------------

    def show_scene(self, scene: Scene, *, play: bool = True) -> None:
        """Set up a scene and, with ``play``, play its race."""
        self.surface_form.set_values(_with_defaults(scene.surface))
        self.methods.set_methods(scene.methods)
        self.methods.set_colors(theme.current().plots)
        self.race_form.set_values({"steps": scene.steps, "noise": scene.noise})
        self.show_status(scene.text)
        self._play_next = play
        self._surface_changed()

    def race(self) -> None:
        """Play the race from step 0, computing it first if anything changed."""
        if self._race is not None and self._computed_for == self._requested():
            self.timeline.play()
        else:
            self._play_next = True
            self._request_race()

    def show_status(self, text: str) -> None:
        """Show a text below the plots."""
        self.status_label.setText(text)

    def show_page(self, kind: str, name: str) -> None:
        """Open the help page of a component."""
        page = HelpPage(kind, name, self)
        page.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        page.show()

    # --- requests ---------------------------------------------------------------

    def _surface_edited(self) -> None:
        if self.surface_form.errors():
            return
        surface = self._surface()
        if self._picture is None or self._picture.section["name"] != surface.name:
            self.methods.set_methods(default_methods(surface, surface.starts()[0].point))
            self.methods.set_colors(theme.current().plots)
        self.show_status("")
        self._surface_changed()

    def _surface_changed(self) -> None:
        label = self.surface_form.picker.currentText()
        set_subject(self, label)
        self.setWindowTitle(f"{label} – Surfaces – OptLab")
        for button in (self.critical_button, self.basins_button):
            button.blockSignals(True)
            button.setChecked(False)
            button.blockSignals(False)
        self._race = None
        if self._shown_once:
            self.pictures.ask(PictureTask(self.surface_form.values()))
            self._debounce.start()

    def _methods_edited(self) -> None:
        self._debounce.start()
        if self.basins_button.isChecked():
            self.basins_button.setChecked(False)

    def _requested(self) -> tuple[Any, ...]:
        return (self.surface_form.values(), self.methods.methods(), self.race_form.values())

    def _request_race(self) -> None:
        if not self.methods.ready() or self.surface_form.errors() or self.race_form.errors():
            return
        self._computed_for = self._requested()
        values = self.race_form.values()
        self.races.ask(
            RaceTask(
                self.surface_form.values(), self.methods.methods(), values["steps"], values["noise"]
            )
        )

    def _request_search(self) -> None:
        if not self.critical_button.isChecked():
            self.contours.set_marks(())
        if not self.basins_button.isChecked():
            self.contours.set_picture(None)
        if self._picture is None:
            return
        if self.basins_button.isChecked():
            self.show_status("Running the selected method from thousands of starts…")
            self.searches.ask(
                BasinsTask(
                    self.surface_form.values(),
                    self.methods.methods()[self.methods.selected],
                    self.race_form.values()["steps"],
                )
            )
        elif self.critical_button.isChecked():
            self.searches.ask(CriticalTask(self.surface_form.values()))

    # --- results --------------------------------------------------------------

    def _show_picture(self, picture: SurfacePicture) -> None:
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

    def _show_race(self, race: Race) -> None:
        self._race = race
        self.methods.show_problem("")
        self._draw_curves(race)
        self.timeline.set_steps(len(race.positions) - 1)
        if self._play_next:
            self._play_next = False
            self.timeline.play()
        self._show_step()

    def _race_failed(self, message: str) -> None:
        self._race = None
        self.methods.show_problem(message)
        self._show_step()

    def _show_search_result(self, result: CriticalPoints | Basins) -> None:
        if isinstance(result, Basins):
            self._show_basins(result)
        else:
            self._show_critical(result)

    def _show_critical(self, result: CriticalPoints) -> None:
        self.contours.set_marks(
            [
                Mark(one.kind or "degenerate", one.point, one.eigenvalues, one.eigenvectors.T)
                for one in result.points
            ]
        )
        self.show_status(critical_points_text(result))

    def _show_basins(self, result: Basins) -> None:
        self.contours.set_picture(basins_image(result, theme.current().plots))
        self.show_status(basins_text(result, self.methods.methods()[self.methods.selected].label))

    # --- drawing --------------------------------------------------------------

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
        self.terms_tile.title.setText(
            f"Terms of {methods[selected].label}, step {min(step, last):,}"
        )
        self.terms.show_terms(race.terms(selected, max(0, min(step, last) - 1)) if last else {})
        if (
            not self.critical_button.isChecked()
            and not self.basins_button.isChecked()
            and step == len(race.positions) - 1
            and not self.timeline.playing
        ):
            self.show_status(race_text(race, methods))

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

    def _description_at(self, x: float, y: float) -> str:
        if self._picture is None or len(self._picture.axes) != 2:
            return ""
        relief = Relief(self._picture.axes[0], self._picture.axes[1], self._picture.heights)
        return describe(self._picture, (x, y), float(relief.heights_at(np.array([[x, y]]))[0]))

    # --- interaction ----------------------------------------------------------------

    def _move_start(self, point: tuple[float, ...]) -> None:
        all_methods = bool(QGuiApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier)
        self.methods.move_start(point, all_methods=all_methods)

    def _surface(self) -> Surface:
        return registry.build(Surface, self.surface_form.values())

    # --- showing and closing ----------------------------------------------------

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
        """Stop all computations and the timeline."""
        self._debounce.stop()
        self.timeline.pause()
        for bridge in (self.pictures, self.races, self.searches):
            bridge.shut_down()


def _with_defaults(section: Any) -> dict[str, Any]:
    """Return a section with all fields, missing ones at their defaults."""
    built = registry.build("surface", section)
    return {"name": built.name, **built.values()}
