"""The places and dialogs that the main window opens.

What the user picks in one of them comes back as a signal, and the main window acts on it. Each is
imported when it is opened: their parts would delay the main window.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from optlab.gui.bridge import WorkerPrewarmer
from optlab.gui.window_frame import WindowFrame

if TYPE_CHECKING:
    from optlab.gui.demonstrations.demonstration_window import DemonstrationWindow
    from optlab.gui.landscape.landscape_window import LandscapeWindow
    from optlab.gui.surfaces.surface_window import SurfaceWindow
    from optlab.gui.watched.watched_window import WatchedWindow

    ToolWindow = DemonstrationWindow | LandscapeWindow | SurfaceWindow | WatchedWindow


class SecondaryWindows(QObject):
    """Opens the windows and dialogs.

    Signals: ``presetPicked(object, bool)``: file, and whether to start it; ``componentPicked(str,
    str)``: kind and name; ``dataPicked(object)``: a dataset section; ``modelRegistered(str)``: its
    name.
    """

    presetPicked = Signal(object, bool)
    componentPicked = Signal(str, str)
    dataPicked = Signal(object)
    modelRegistered = Signal(str)

    def __init__(self, prewarmer: WorkerPrewarmer, window: WindowFrame) -> None:
        super().__init__(window)
        self._prewarmer = prewarmer
        self._window = window
        self._places = window.places
        self._show: dict[str, Callable[[], None]] = {
            "surfaces": self.show_surfaces,
            "landscape": self.show_landscape,
            "demonstrations": self.show_demonstrations,
            "watched": self.show_watched,
        }

    # --- places and pages -------------------------------------------------------------------------

    def show_page(self, kind: str, name: str) -> None:
        """Open the page of a component."""
        from optlab.gui.panels.help_page import HelpPage

        page = HelpPage(kind, name, self._window)
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

    def _show_tool_window(self, name: str, make: Callable[[WorkerPrewarmer], ToolWindow]) -> None:
        """Show a place, which is built now unless it is there."""
        if self._places.place(name) is None:
            place = make(self._prewarmer)
            place.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self._places.fill(name, place)
        self._places.show_place(name)

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
        from optlab.gui.panels.register_dialog import RegisterDialog

        dialog = RegisterDialog(self._prewarmer, self._window)
        dialog.registered.connect(self.modelRegistered)
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

    def close_all(self) -> None:
        """Close the places."""
        self._places.close_all()
