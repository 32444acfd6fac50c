"""The menu of a tile: copy it, save it as a figure, take its values, get them by a command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu, QWidget

from optlab.gui.figures.figure import drawn_part
from optlab.gui.figures.figure_dialog import FigureDialog
from optlab.gui.plots.plot_frame import PlotFrame

Say = Callable[[str], object]
"""Shows a sentence."""


def command_for(run_ids: Sequence[str], series: Collection[str] = ()) -> str:
    """Return the command that writes series of runs; "" without a run.

    Args:
        run_ids: names of the stored runs.
        series: names of the series; () for all.
    """
    if not run_ids:
        return ""
    chosen = [part for name in sorted(series) for part in ("--series", name)]
    target = ["--format", "csv", "--to", f"{run_ids[0]}.csv"]
    return shlex.join(["optlab", "export", *run_ids, *chosen, *target])


def fill_tile_menu(
    menu: QMenu,
    content: QWidget,
    title: str,
    window: QWidget,
    say: Say | None = None,
    run_ids: Sequence[str] | None = None,
    series: Collection[str] = (),
) -> None:
    """Add to a menu what can be done with what a tile shows.

    Args:
        menu: to fill. content: of the tile. title: of the tile. window: above which dialogs open.
        say: shows a sentence about what was done. run_ids: names of the stored runs that are shown;
            None where a tile shows something else. series: names of those that the tile draws; ()
            where it does not say.
    """
    part, say = drawn_part(content), say or _silently
    menu.addAction("&Copy as a picture", lambda: _copy_picture(part, say))
    menu.addAction("&Save figure…", lambda: open_figure_dialog(content, title, window, say))
    if run_ids is not None:
        command = command_for(run_ids, series)
        copy = menu.addAction("Copy &command for its values", lambda: _copy_text(command, say))
        copy.setEnabled(bool(command))
    if isinstance(part, PlotFrame):
        menu.addSeparator()
        menu.addActions(
            [action for action in part.menu.actions() if action is not part.image_action]
        )


def open_figure_dialog(
    content: QWidget, title: str, window: QWidget, say: Say | None = None
) -> FigureDialog:
    """Open the dialog that saves a tile as a figure, and return it."""
    dialog = FigureDialog(content, title, window)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.saved.connect(lambda path: (say or _silently)(f"Saved to {path}."))
    dialog.open()
    return dialog


def _silently(_sentence: str) -> None:
    """Say nothing: the place has no line for it."""


def _copy_picture(part: QWidget, say: Say) -> None:
    QGuiApplication.clipboard().setPixmap(part.grab())
    say("The picture is in the clipboard.")


def _copy_text(text: str, say: Say) -> None:
    QGuiApplication.clipboard().setText(text)
    say(f"In the clipboard: {text}")
