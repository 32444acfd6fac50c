"""What is on the board: the tiles that can be added, the layouts, and what is remembered of both."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QPoint, Qt, QTimer
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QApplication, QInputDialog, QMenu, QToolButton, QWidget

from optlab.core.errors import InvalidInput, OptLabError
from optlab.gui.board.board import TileKind
from optlab.gui.board.board_layout import (
    SHIPPED,
    BoardLayout,
    SeriesTile,
    load,
    own_names,
    own_path,
    save,
    shipped_folder,
)
from optlab.gui.board.series_picker import SeriesTile as SeriesTileWidget
from optlab.gui.figures.tile_menu import fill_tile_menu, open_figure_dialog
from optlab.gui.places import WORKBENCH
from optlab.gui.plots.tiles import DrawsSeries

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow

INSTRUMENTS, DIAGNOSIS = "instruments", "diagnosis"
INSTRUMENT = "instrument."
"""Begins the key of the tile of one instrument."""
_SERIES = "series-"


class BoardController(QObject):
    """Offers the tiles, and opens and saves layouts.

    Args:
        window: its panels are built.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._plots = window.plots
        self.board = window.plots.board
        self._actions: dict[str, QAction] = {}
        self._layout_actions = QActionGroup(self)
        self._layout_actions.setExclusionPolicy(QActionGroup.ExclusionPolicy.ExclusiveOptional)
        self._layout = SHIPPED[0]
        self._offer_tiles()
        self._build_tiles_menu()
        self._build_layouts_menu()
        self._add_buttons()
        self.board.opened.connect(self._opened)
        self.board.closed.connect(self._closed)
        self.board.menuRequested.connect(self._show_tile_menu)
        window.instruments.tileRequested.connect(lambda name: self.open_tile(f"{INSTRUMENT}{name}"))
        # The board shows the tiles that are shown at first, which is what the first layout says.
        self._check_layout()

    # --- tiles ------------------------------------------------------------------------------------

    def open_tile(self, key: str) -> None:
        """Open a tile, on the workbench.

        Raises:
            KeyError: there is no such tile.
        """
        self._window.places.show_place(WORKBENCH)
        self.board.open(key)

    def add_series_tile(self) -> None:
        """Open a new tile of series, and the list from which they are picked."""
        key = self._offer_series(SeriesTile(self._free_key()))
        self.open_tile(key)
        tile = self.board.tile(key).plot
        assert isinstance(tile, SeriesTileWidget)
        # The list opens below a button that has its place then.
        QTimer.singleShot(0, tile, tile.pick)

    def _offer_tiles(self) -> None:
        instruments, diagnosis = self._window.instruments, self._window.diagnosis_panel
        # It is there, and can be asked, before its tile is opened.
        instruments.setParent(self.board)
        instruments.hide()
        self.board.offer(TileKind(INSTRUMENTS, "Instruments", "", self._show_instruments))
        self.board.offer(
            TileKind(DIAGNOSIS, "Diagnosis", "", lambda: diagnosis, self._window.place_diagnosis)
        )
        for name, card in instruments.cards.items():
            self.board.offer(
                TileKind(
                    f"{INSTRUMENT}{name}",
                    card.instrument.label,
                    f"Instruments/{card.instrument.group}",
                    partial(instruments.lend, name),
                    partial(self._accept, name),
                )
            )

    def _show_instruments(self) -> QWidget:
        self._window.instruments.show()
        return self._window.instruments

    def _accept(self, name: str, _card: QWidget) -> None:
        self._window.instruments.accept(name)

    def _free_key(self) -> str:
        number = 1
        while f"{_SERIES}{number}" in self.board.kinds:
            number += 1
        return f"{_SERIES}{number}"

    def _offer_series(self, tile: SeriesTile) -> str:
        self.board.offer(
            TileKind(
                tile.key,
                "Series",
                "",
                partial(self._make_series, tile),
                partial(self._drop_series, tile.key),
            )
        )
        return tile.key

    def _make_series(self, tile: SeriesTile) -> QWidget:
        widget = SeriesTileWidget(self._plots.values, tile.names, log=tile.log)
        self._plots.add_plot(widget.plot)
        widget.namesChanged.connect(lambda: self._name_series(tile.key))
        return widget

    def _drop_series(self, key: str, widget: QWidget) -> None:
        assert isinstance(widget, SeriesTileWidget)
        self._plots.drop_plot(widget.plot)
        widget.deleteLater()
        self.board.withdraw(key)

    def _name_series(self, key: str) -> None:
        dock = self.board.tile(key)
        assert isinstance(dock.plot, SeriesTileWidget)
        dock.set_title(dock.plot.title)

    def _opened(self, key: str) -> None:
        if key in self._actions:
            self._actions[key].setChecked(True)
        content = self.board.tile(key).plot
        if isinstance(content, SeriesTileWidget):
            self._name_series(key)
        self._window.instruments.refresh()

    def _closed(self, key: str) -> None:
        if key in self._actions:
            self._actions[key].setChecked(False)

    # --- menus ------------------------------------------------------------------------------------

    def _build_tiles_menu(self) -> None:
        menu = self._window.tiles_menu
        menus: dict[str, QMenu] = {"": menu}
        for kind in self.board.kinds.values():
            parent, path = menu, ""
            for part in filter(None, kind.group.split("/")):
                path = f"{path}/{part}"
                if path not in menus:
                    menus[path] = parent.addMenu(part.replace("&", "&&"))
                parent = menus[path]
            action = QAction(kind.title.replace("&", "&&"), parent)
            action.setCheckable(True)
            action.setChecked(kind.key in self.board.keys)
            action.triggered.connect(lambda on, key=kind.key: self._toggle(key, on))
            parent.addAction(action)
            self._actions[kind.key] = action
        menu.addSeparator()
        menu.addAction("&Series of your choice…", self.add_series_tile)
        menu.addSeparator()
        save = menu.addAction("Save &figure of the tile in use…", self.save_figure)
        save.setShortcut("Ctrl+Shift+E")

    def _toggle(self, key: str, wanted: bool) -> None:
        if wanted:
            self.open_tile(key)
        else:
            self.board.close_tile(key)

    def _build_layouts_menu(self) -> None:
        menu = self._window.layouts_menu
        menu.clear()
        for action in self._layout_actions.actions():
            self._layout_actions.removeAction(action)
        for number, name in enumerate(SHIPPED, 1):
            action = self._add_layout(menu, name, name.capitalize())
            action.setShortcut(QKeySequence(f"Ctrl+{number}"))
        own = own_names()
        if own:
            menu.addSeparator()
        for name in own:
            self._add_layout(menu, name, name)
        menu.addSeparator()
        menu.addAction("&Save layout as…", self._ask_name)
        menu.addAction("&Delete a layout…", self._ask_what_to_delete).setEnabled(bool(own))

    def _add_layout(self, menu: QMenu, name: str, title: str) -> QAction:
        action = QAction(title.replace("&", "&&"), menu)
        action.setCheckable(True)
        action.setData(name)
        action.triggered.connect(lambda _checked=False: self.show_layout(name))
        self._layout_actions.addAction(action)
        menu.addAction(action)
        return action

    def _add_buttons(self) -> None:
        for text, tip, menu in (
            ("Layout", "Show another layout of the board, or save this one", "layouts_menu"),
            ("+ Tile", "Add a tile to the board", "tiles_menu"),
        ):
            button = QToolButton()
            button.setText(text)
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            button.setAutoRaise(True)
            button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
            button.setMenu(getattr(self._window, menu))
            self._plots.head.addWidget(button)

    # --- the menu of a tile -----------------------------------------------------------------------

    def tile_in_use(self) -> str:
        """Return the key of the tile that has the focus, else of the first that is seen, or ""."""
        focus = QApplication.focusWidget()
        seen = [key for key in self.board.keys if self.board.tile(key).isVisible()]
        for key in seen:
            if focus is not None and self.board.tile(key).isAncestorOf(focus):
                return key
        return self.board.enlarged or next(iter(seen), "")

    def save_figure(self) -> None:
        """Open the dialog that saves the tile in use as a figure."""
        key = self.tile_in_use()
        if key:
            dock = self.board.tile(key)
            open_figure_dialog(
                dock.plot, dock.title.text(), self._window, self._window.controls.say
            )

    def tile_menu(self, key: str) -> QMenu:
        """Return a new menu of a tile."""
        dock = self.board.tile(key)
        menu = QMenu(self._window)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        fill_tile_menu(
            menu,
            dock.plot,
            dock.title.text(),
            self._window,
            self._window.controls.say,
            self._runs_of_tiles(),
            self._series_of(dock.plot),
        )
        menu.addSeparator()
        menu.addAction(
            "Dock" if dock.isFloating() else "Float",
            lambda: dock.setFloating(not dock.isFloating()),
        )
        menu.addAction(
            "Show all tiles" if self.board.enlarged else "Enlarge", lambda: self.board.enlarge(key)
        )
        menu.addAction("Close", lambda: self.board.close_tile(key))
        return menu

    def _runs_of_tiles(self) -> list[str]:
        """Return the ids of the runs whose curves the tiles draw."""
        followed, shown = self._window.shown_run.run_ids, self._window.runs.shown
        return list(dict.fromkeys([*followed, *shown.visible]))

    def _series_of(self, content: QWidget) -> frozenset[str]:
        """Return the names of the series that a tile draws and the run that is shown has."""
        plot = content.plot if isinstance(content, SeriesTileWidget) else content
        if not isinstance(plot, DrawsSeries):
            return frozenset()
        return plot.series & self._plots.values.names.keys()

    def _show_tile_menu(self, key: str) -> None:
        button = self.board.tile(key).menu_button
        self.tile_menu(key).popup(button.mapToGlobal(QPoint(0, button.height())))

    # --- layouts ----------------------------------------------------------------------------------

    def show_layout(self, name: str) -> None:
        """Show a layout that ships or one of the user's, by its name."""
        self._window.places.show_place(WORKBENCH)
        self._show_layout(name)

    def save_layout(self, title: str) -> Path:
        """Save the board as a layout of the user's, and return its file.

        Raises:
            InvalidInput: it cannot have this name. StoreError: it cannot be written.
        """
        path = own_path(title)
        if path.stem in SHIPPED:
            raise InvalidInput(f"The layout {path.stem} ships with OptLab: choose another name.")
        save(path, self._layout_now(title))
        self._layout = path.stem
        self._build_layouts_menu()
        self._check_layout()
        return path

    def delete_layout(self, name: str) -> None:
        """Delete a layout of the user's.

        Raises:
            InvalidInput: there is none of this name, or it cannot be deleted.
        """
        if name not in own_names():
            raise InvalidInput(f"You have no layout named {name}.")
        try:
            own_path(name).unlink()
        except OSError as error:
            raise InvalidInput(f"The layout {name} cannot be deleted: {error}.") from error
        self._build_layouts_menu()
        self._check_layout()

    def _show_layout(self, name: str) -> None:
        path = shipped_folder() / f"{name}.toml" if name in SHIPPED else own_path(name)
        try:
            layout = load(path)
        except OptLabError as error:
            self._window.show_problem(str(error))
            self._check_layout()
            return
        self._layout = name
        self._apply(layout)
        self._check_layout()

    def _apply(self, layout: BoardLayout) -> None:
        for tile in layout.series:
            self.board.close_tile(tile.key)
            self._offer_series(tile)
        unknown = self.board.apply(layout, self._plots.rows_at_first())
        if unknown:
            names = ", ".join(f"“{name}”" for name in dict.fromkeys(unknown))
            self._window.show_problem(
                f"The layout “{layout.title}” names {'a tile' if len(unknown) == 1 else 'tiles'} "
                f"that this OptLab does not have: {names}. The rest of it is shown."
            )

    def _layout_now(self, title: str) -> BoardLayout:
        rows, arrangement = self.board.arrangement()
        series = []
        for key in self.board.keys:
            content = self.board.tile(key).plot
            if isinstance(content, SeriesTileWidget):
                series.append(SeriesTile(key, content.plot.names, content.plot.log_y))
        return BoardLayout(title, "", rows, tuple(series), arrangement)

    def _check_layout(self) -> None:
        for action in self._layout_actions.actions():
            action.setChecked(action.data() == self._layout)

    def _ask_name(self) -> None:
        title, agreed = QInputDialog.getText(
            self._window, "Save layout", "Name of this layout of the board:"
        )
        if agreed:
            self._try(lambda: self._window.controls.say(f"Saved to {self.save_layout(title)}."))

    def _ask_what_to_delete(self) -> None:
        name, agreed = QInputDialog.getItem(
            self._window, "Delete layout", "Layout to delete:", own_names(), 0, False
        )
        if agreed:
            self._try(lambda: self.delete_layout(name))

    def _try(self, act: Any) -> None:
        try:
            act()
        except OptLabError as error:
            self._window.show_problem(str(error))

    def shut_down(self) -> None:
        """Read no more values for new tiles."""
        self._plots.values.shut_down()

    # --- what is remembered -----------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what the board shows and how, as plain values for a file of the session."""
        return {
            "layout": self._layout,
            "tiles": self._layout_now("Last").to_dict(),
            "widths": self._window.split_sizes(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Show what :meth:`state` returned in an earlier session.

        Raises:
            InvalidInput: the tiles are not those that :meth:`state` returns.
            KeyError, TypeError: values are missing, or of another kind.
        """
        layout = BoardLayout.from_dict(state["tiles"], "of the last session")
        self._layout = str(state["layout"])
        self._window.set_split_sizes(state["widths"])
        self._apply(layout)
        self._check_layout()
