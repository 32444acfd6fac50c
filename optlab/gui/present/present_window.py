"""The window for an audience: a title, one or two tiles, a caption, and what the keys do."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QCloseEvent, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.gui import theme
from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.plain_text import PlainLabel
from optlab.gui.present.player import Player
from optlab.gui.present.projector import SCALE, big_cursor, projector_theme
from optlab.gui.present.run_player import RunPlayer

HINTS = "Space start · Page Down next · Esc leave · H keys"
KEYS = (
    ("Page Down", "next scene"),
    ("Page Up", "previous scene"),
    ("Space", "start, pause, go on"),
    ("Home", "again from the start"),
    (". (full stop)", "one step of a run"),
    ("arrow keys or mouse", "draw the expected curve, where a scene asks for one"),
    ("Backspace", "remove what was drawn"),
    ("1, 2", "one tile, two tiles"),
    ("C", "light or dark"),
    ("N", "what to say, for the presenter"),
    ("H", "these keys"),
    ("Esc", "leave; a run goes on"),
)
"""Key → what it does, for the page of keys."""


class PresentWindow(QWidget):
    """Shows scenes, one at a time.

    Signals: ``moved(int)``: to the scene so many places on; ``toggled()``, ``againWanted()``,
    ``stepWanted()``: start or pause, begin again, take one step; ``closed()``.
    """

    moved = Signal(int)
    toggled = Signal()
    againWanted = Signal()
    stepWanted = Signal()
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setObjectName("presentWindow")
        self.setWindowTitle("Present – OptLab")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.dark = theme.current().dark
        self.player: Player | None = None
        self.title, self.caption, self.notes, self.keys = (PlainLabel("") for _ in range(4))
        self.status, self.place, self.hints = ElidedLabel(), PlainLabel(""), PlainLabel(HINTS)
        for label in (self.title, self.caption, self.notes):
            label.setWordWrap(True)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        for name in ("title", "caption", "notes", "status", "place", "hints"):
            getattr(self, name).setObjectName(f"present{name.capitalize()}")
        self.status.setAccessibleName("State")
        self.notes.setProperty("role", "note")
        self.hints.setProperty("role", "muted")
        self.keys.setText("\n".join(f"{key}:  {what}" for key, what in KEYS))
        self.keys.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.notes.hide()
        self.keys.hide()
        foot = QHBoxLayout()
        foot.setSpacing(24)
        foot.addWidget(self.status, 1)
        foot.addWidget(self.place)
        foot.addWidget(self.hints)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(20, 12, 20, 10)
        self._column.setSpacing(8)
        self._column.addWidget(self.title)
        self._column.addWidget(self.keys, 1)
        self._column.addWidget(self.caption)
        self._column.addWidget(self.notes)
        self._column.addLayout(foot)
        self._add_keys()
        self.apply_theme()

    def _add_keys(self) -> None:
        keys, key = Qt.Key, QKeySequence
        for text, shortcut, act in (
            ("Next scene", [key(keys.Key_PageDown)], partial(self.moved.emit, 1)),
            ("Previous scene", [key(keys.Key_PageUp)], partial(self.moved.emit, -1)),
            ("Start or pause", [key(keys.Key_Space)], self.toggled.emit),
            ("Again", [key(keys.Key_Home)], self.againWanted.emit),
            ("One step", [key(keys.Key_Period)], self.stepWanted.emit),
            ("One tile", [key("1")], partial(self._show_tiles, 1)),
            ("Two tiles", [key("2")], partial(self._show_tiles, 2)),
            ("Light or dark", [key("C")], self._switch_colors),
            ("What to say", [key("N")], self._switch_notes),
            ("Keys", [key("H"), key(keys.Key_F1)], self._switch_keys),
            ("Leave", [key(keys.Key_Escape), key(keys.Key_F11)], self.close),
        ):
            action = QAction(text, self)
            action.setShortcuts(shortcut)
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
            action.setAutoRepeat(False)
            action.triggered.connect(lambda _checked=False, act=act: act())
            self.addAction(action)

    def _font_rules(self) -> str:
        """Return style rules that make all text larger, the title most of all."""
        font = QApplication.font()
        size = font.pointSizeF() if font.pointSizeF() > 0 else font.pixelSize() * 0.75
        rules = {
            "QLabel, QComboBox, QToolButton": 1.0,
            "QLabel#tileTitle": 0.9,
            "QLabel#presentTitle": 1.35,
            "QLabel#presentCaption": 0.95,
            "QLabel#presentNotes": 0.8,
            "QLabel#presentStatus, QLabel#presentPlace": 0.7,
            "QLabel#presentHints": 0.55,
        }
        return "".join(
            f"{which} {{ font-size: {size * SCALE * factor:.1f}pt; }}"
            for which, factor in rules.items()
        )

    # --- a scene ----------------------------------------------------------------------------------

    def show_scene(self, player: Player, title: str, text: str, say: str, place: str) -> None:
        """Show a scene in place of the one before.

        Args:
            player: its tiles. title, text: for the audience. say: for the presenter. place: where it
                stands among the scenes.
        """
        self.clear()
        self.player = player
        self.title.setText(title)
        self.caption.setText(text)
        self.caption.setVisible(bool(text))
        self.notes.setText(say)
        self.place.setText(place)
        self.status.setText("")
        self._column.insertWidget(1, player, 1)
        player.said.connect(self.status.setText)
        player.set_colors(self.colors.plots)
        theme.color_controls(player, self.colors)
        self._show_keys(shown=False)
        player.show()
        self._focus()

    def clear(self) -> None:
        """Remove the scene that is shown."""
        player, self.player = self.player, None
        if player is not None:
            player.shut_down()
            self._column.removeWidget(player)
            player.hide()
            player.deleteLater()

    def _focus(self) -> None:
        """Give the keys to what is drawn on, or to the window."""
        player = self.player
        if isinstance(player, RunPlayer) and player.layer is not None and player.layer.isVisible():
            player.layer.setFocus()
        else:
            self.setFocus()

    # --- keys -------------------------------------------------------------------------------------

    def _show_tiles(self, count: int) -> None:
        if self.player is not None:
            self.player.show_tiles(count)

    def _switch_notes(self) -> None:
        self.notes.setVisible(self.notes.isHidden() and bool(self.notes.text()))

    def _switch_keys(self) -> None:
        self._show_keys(shown=self.keys.isHidden())

    def _show_keys(self, *, shown: bool) -> None:
        self.keys.setVisible(shown)
        if self.player is not None:
            self.player.setVisible(not shown)

    def _switch_colors(self) -> None:
        self.dark = not self.dark
        self.apply_theme()

    # --- colors -----------------------------------------------------------------------------------

    @property
    def colors(self) -> theme.Theme:
        """The colors of the projector."""
        return projector_theme(dark=self.dark)

    def apply_theme(self) -> None:
        """Apply the colors of the projector to everything in the window."""
        colors = self.colors
        self.setPalette(theme.palette(colors))
        self.setStyleSheet(
            theme.style_sheet(colors)
            + f"QWidget#presentWindow {{ background: {colors.window}; }}"
            + f"QLabel {{ color: {colors.text}; background: transparent; }}"
            + "QLabel#presentTitle { font-weight: 600; }"
            + self._font_rules()
        )
        self.setCursor(big_cursor(colors))
        if self.player is not None:
            self.player.set_colors(colors.plots)
        # At last: a style sheet that is set takes the palettes of what is in it away.
        theme.color_controls(self, colors)
        for button in self.findChildren(QToolButton):
            button.setPalette(theme.palette(colors))

    # --- closing ----------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        self.clear()
        self.closed.emit()
        event.accept()
