"""The places and dialogs that the main window opens.

What the user picks in one of them comes back as a signal, and the main window acts on it. Each is
imported when it is opened: their parts would delay the main window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from optlab.gui.bridge import WorkerPrewarmer
from optlab.gui.places import WORKBENCH
from optlab.gui.window_frame import WindowFrame

if TYPE_CHECKING:
    from optlab.gui.demonstrations.demonstration_window import DemonstrationWindow
    from optlab.gui.landscape.landscape_window import LandscapeWindow
    from optlab.gui.main_window import MainWindow
    from optlab.gui.present.presenter import Presenter
    from optlab.gui.studies.compare_window import CompareWindow
    from optlab.gui.studies.studies_window import StudiesWindow
    from optlab.gui.surfaces.surface_window import SurfaceWindow
    from optlab.gui.watched.watched_window import WatchedWindow
    from optlab.runners.train import RunnerChoice

    ToolWindow = (
        CompareWindow
        | DemonstrationWindow
        | LandscapeWindow
        | StudiesWindow
        | SurfaceWindow
        | WatchedWindow
    )


class SecondaryWindows(QObject):
    """Opens the windows and dialogs.

    Args:
        runner: where the main window trains; studies train in workers unless it is ``thread``.

    Signals: ``presetPicked(object, bool)``: file, and whether to start it; ``componentPicked(str,
    str)``: kind and name; ``dataPicked(object)``: a dataset section; ``registered(str, str)``:
    kind and name of a component of the user's; ``runPicked(str)``: id of a run to show; ``studyWanted()``: the user asked for a new study.
    """

    presetPicked = Signal(object, bool)
    componentPicked = Signal(str, str)
    dataPicked = Signal(object)
    registered = Signal(str, str)
    runPicked = Signal(str)
    studyWanted = Signal()

    def __init__(
        self, prewarmer: WorkerPrewarmer, window: WindowFrame, runner: RunnerChoice = "auto"
    ) -> None:
        super().__init__(window)
        self._study_runner: RunnerChoice = "thread" if runner == "thread" else "process"
        self._prewarmer = prewarmer
        self._window = window
        self._places = window.places
        self._show: dict[str, Callable[[], object]] = {
            "surfaces": self.show_surfaces,
            "landscape": self.show_landscape,
            "demonstrations": self.show_demonstrations,
            "studies": self.show_studies,
            "compare": self.compare_runs,
            "watched": self.show_watched,
        }
        self.presenter: Presenter | None = None

    # --- places and pages -------------------------------------------------------------------------

    def show_page(self, kind: str, name: str, field: str = "") -> None:
        """Open the page of a component, at one of its fields if there is one named."""
        from optlab.gui.panels.help_page import HelpPage

        page = HelpPage(kind, name, self._window, field=field)
        page.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        page.show()

    def show_catalogue(self) -> None:
        """Open the catalogue of all components."""
        from optlab.gui.panels.catalogue_dialog import CatalogueDialog

        catalogue = CatalogueDialog(self._window)
        catalogue.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        catalogue.useRequested.connect(self.componentPicked)
        catalogue.show()

    def show_place(self, name: str) -> None:
        """Show a place by its key in :data:`optlab.gui.places.TITLES`."""
        self._show[name]()

    def show_surfaces(self) -> None:
        """Show the place in which methods race on functions of one and two variables."""
        from optlab.gui.surfaces.surface_window import SurfaceWindow

        self._show_tool_window("surfaces", SurfaceWindow)

    def show_landscape(self) -> None:
        """Show the place that shows the loss around the weights of a stored run."""
        from optlab.gui.landscape.landscape_window import LandscapeWindow

        self._show_tool_window("landscape", LandscapeWindow)

    def show_demonstrations(self) -> None:
        """Show the place of demonstrations."""
        from optlab.gui.demonstrations.demonstration_window import DemonstrationWindow

        self._show_tool_window("demonstrations", DemonstrationWindow)

    def show_watched(self, folder: Path | None = None) -> None:
        """Show the place of watched runs, on a folder of them if one is named."""
        from optlab.gui.watched.watched_window import WatchedWindow

        self._show_tool_window("watched", lambda prewarmer: WatchedWindow(prewarmer, folder))

    def show_studies(self) -> None:
        """Show the place of studies and claims."""
        from optlab.gui.studies.studies_window import StudiesWindow

        def make(prewarmer: WorkerPrewarmer) -> StudiesWindow:
            place = StudiesWindow(prewarmer, self._study_runner)
            place.newRequested.connect(self.studyWanted)
            place.runPicked.connect(self.runPicked)
            place.runPicked.connect(lambda _run: self._places.show_place(WORKBENCH))
            place.compareRequested.connect(self.compare_runs)
            return place

        self._show_tool_window("studies", make)

    def show_study_file(self, path: Path, *, run: bool) -> None:
        """Show a study file in its place, and maybe run it."""
        self.show_studies()
        place = self._studies()
        assert place is not None, "it has just been shown"
        if run:
            place.run_file(path)
        else:
            place.open_file(path)

    def compare_runs(self, run_ids: Sequence[str] = ()) -> None:
        """Show the place in which stored runs stand side by side, with these if there are any."""
        from optlab.gui.studies.compare_window import CompareWindow

        self._show_tool_window("compare", CompareWindow)
        if run_ids:
            cast("CompareWindow", self._places.place("compare")).show_runs(run_ids)

    def _show_tool_window(self, name: str, make: Callable[[WorkerPrewarmer], ToolWindow]) -> None:
        """Show a place, which is built now unless it is there."""
        if self._places.place(name) is None:
            place = make(self._prewarmer)
            place.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self._places.fill(name, place)
        self._places.show_place(name)

    def present(self, scene: str = "") -> None:
        """Open the window for an audience, on a scene if one is named."""
        from optlab.gui.present.presenter import Presenter

        if self.presenter is None:
            self.presenter = Presenter(cast("MainWindow", self._window), self._prewarmer)
        self.presenter.present(scene)

    # --- dialogs ----------------------------------------------------------------------------------

    def show_gallery(self) -> None:
        """Open the gallery of the experiments that ship with OptLab."""
        from optlab.gui.panels.gallery_dialog import GalleryDialog

        gallery = GalleryDialog(self._window)
        gallery.openRequested.connect(self.presetPicked)
        gallery.exec()
        gallery.deleteLater()

    def import_data(self, path: str = "") -> None:
        """Open the dialog that imports a data file, with a file if one is named."""
        from optlab.gui.panels.import_dialog import ImportDialog

        dialog = ImportDialog(self._prewarmer, self._window)
        dialog.useRequested.connect(self.dataPicked)
        if path:
            dialog.open_path(path)
        dialog.exec()
        dialog.deleteLater()

    def register_model(self) -> None:
        """Open the dialog that registers a model of the user's own."""
        self._register("model")

    def register_optimizer(self) -> None:
        """Open the dialog that registers an optimizer of the user's own."""
        self._register("optimizer")

    def _register(self, kind: str) -> None:
        from optlab.gui.panels.register_dialog import RegisterDialog

        dataset = cast("MainWindow", self._window).experiment_panel.tables()["dataset"]
        dialog = RegisterDialog(self._prewarmer, self._window, kind, dataset)
        dialog.registered.connect(lambda name: self.registered.emit(kind, name))
        dialog.exec()
        dialog.deleteLater()

    def show_machine(self, failure: str = "") -> None:
        """Show versions, devices and folders of this machine, and the failure if there was one."""
        from optlab.gui.panels.machine_dialog import MachineDialog

        dialog = MachineDialog(self._prewarmer, failure, self._window)
        dialog.exec()
        dialog.deleteLater()

    def show_test_part(self, run_id: str, above: QWidget | None = None) -> None:
        """Evaluate a stored run on its test part, in a dialog above a widget."""
        from optlab.gui.panels.test_part_dialog import TestPartDialog

        dialog = TestPartDialog(self._prewarmer, run_id, above or self._window)
        dialog.exec()
        dialog.deleteLater()

    # --- closing ----------------------------------------------------------------------------------

    @property
    def replaced_experiment(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The tables in the editor, and those as saved, in whose place a scene has put its own."""
        return None if self.presenter is None else self.presenter.replaced

    @property
    def study_in_progress(self) -> bool:
        """Whether closing the places would stop a study."""
        studies = self._studies()
        return studies is not None and studies.conductor.active

    def close_all(self) -> None:
        """Close the places without questions, and the window for an audience."""
        if self.presenter is not None:
            self.presenter.close()
        studies = self._studies()
        if studies is not None:
            studies.confirm_close()
        self._places.close_all()

    def _studies(self) -> StudiesWindow | None:
        place = self._places.place("studies")
        return cast("StudiesWindow | None", place)
