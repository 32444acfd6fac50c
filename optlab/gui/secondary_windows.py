"""The windows that are opened from the main window: what each is asked for comes back as a signal,
and the main window acts on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from optlab.gui.bridge import WorkerPrewarmer
from optlab.gui.panels.catalogue_dialog import CatalogueDialog
from optlab.gui.panels.gallery_dialog import GalleryDialog
from optlab.gui.panels.help_page import HelpPage
from optlab.gui.panels.import_dialog import ImportDialog
from optlab.gui.panels.machine_dialog import MachineDialog
from optlab.gui.panels.register_dialog import RegisterDialog
from optlab.gui.panels.runs_dialog import RunsDialog

if TYPE_CHECKING:
    from optlab.gui.demonstrations.demonstration_window import DemonstrationWindow
    from optlab.gui.landscape.landscape_window import LandscapeWindow
    from optlab.gui.surfaces.surface_window import SurfaceWindow

    Apart = DemonstrationWindow | LandscapeWindow | SurfaceWindow


class SecondaryWindows(QObject):
    """Opens them.

    Signals: ``presetPicked(object, bool)``: file, and whether to start it; ``componentPicked(str,
    str)``: kind and name; ``dataPicked(object)``: a dataset section; ``modelRegistered(str)``: its
    name; ``resumeAsked(str)``, ``runPicked(str)``: id of a run to go on with, to show;
    ``experimentPicked(str)``: the text of a stored experiment.
    """

    presetPicked = Signal(object, bool)
    componentPicked = Signal(str, str)
    dataPicked = Signal(object)
    modelRegistered = Signal(str)
    resumeAsked = Signal(str)
    runPicked = Signal(str)
    experimentPicked = Signal(str)

    def __init__(self, warmth: WorkerPrewarmer, window: QWidget) -> None:
        super().__init__(window)
        self._warmth = warmth
        self._window = window
        self._apart: dict[str, Apart] = {}

    # --- beside the window ----------------------------------------------------------------------------------------------------------

    def show_page(self, kind: str, name: str) -> None:
        """The page of a component."""
        page = HelpPage(kind, name, self._window)
        page.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        page.show()

    def show_catalogue(self) -> None:
        """All components, to search and to read."""
        catalogue = CatalogueDialog(self._window)
        catalogue.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        catalogue.useRequested.connect(self.componentPicked)
        catalogue.show()

    def show_surfaces(self) -> None:
        """Functions of one and two variables, and methods that race on them."""
        # Imported when it is wanted: its parts would hold up the first window.
        from optlab.gui.surfaces.surface_window import SurfaceWindow

        self._show_apart("surfaces", SurfaceWindow)

    def show_landscape(self) -> None:
        """The loss around the weights of a stored run."""
        from optlab.gui.landscape.landscape_window import LandscapeWindow

        self._show_apart("landscape", LandscapeWindow)

    def show_benches(self) -> None:
        """Statements of the notes, put to the test."""
        from optlab.gui.demonstrations.demonstration_window import DemonstrationWindow

        self._show_apart("benches", DemonstrationWindow)

    def _show_apart(self, name: str, make: Callable[[WorkerPrewarmer], Apart]) -> None:
        """Open a window that stands apart, or bring the one that is open to the front."""
        if name not in self._apart:
            window = make(self._warmth)
            window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            window.closed.connect(lambda: self._apart.pop(name, None))
            self._apart[name] = window
        self._apart[name].show()
        self._apart[name].raise_()
        self._apart[name].activateWindow()

    # --- asked and answered ---------------------------------------------------------------------------------------------------------

    def show_gallery(self) -> None:
        """The experiments that ship with OptLab, with pictures."""
        gallery = GalleryDialog(self._window)
        gallery.openRequested.connect(self.presetPicked)
        gallery.exec()
        gallery.deleteLater()

    def import_data(self, path: str = "") -> None:
        """How a data file is to be read."""
        dialog = ImportDialog(self._warmth, self._window)
        dialog.useRequested.connect(self.dataPicked)
        if path:
            dialog.look_at(path)
        dialog.exec()
        dialog.deleteLater()

    def register_model(self) -> None:
        """A model of the user's own, after showing what will be executed."""
        dialog = RegisterDialog(self._warmth, self._window)
        dialog.registered.connect(self.modelRegistered)
        dialog.exec()
        dialog.deleteLater()

    def show_machine(self, failure: str = "") -> None:
        """What the machine offers, and what went wrong."""
        dialog = MachineDialog(self._warmth, failure, self._window)
        dialog.exec()
        dialog.deleteLater()

    def show_runs(self, *, busy: bool) -> None:
        """The stored runs; ``busy``: whether one is going."""
        dialog = RunsDialog(self._window, busy=busy)
        dialog.resumeRequested.connect(self.resumeAsked)
        dialog.showRequested.connect(self.runPicked)
        dialog.openRequested.connect(self.experimentPicked)
        dialog.exec()
        dialog.deleteLater()

    # --- the end --------------------------------------------------------------------------------------------------------------------

    def close_all(self) -> None:
        """Close what stands apart from the main window."""
        for window in list(self._apart.values()):
            window.close()
