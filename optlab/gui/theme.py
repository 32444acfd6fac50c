"""The light and the dark theme, following the system unless the user selects one.

Qt's Fusion style draws from the palette, so most widgets need nothing else; a small style sheet
does what a palette cannot.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from optlab.gui.kept_scrolling import kept_scrolling
from optlab.gui.plots.colors import DARK as DARK_PLOTS
from optlab.gui.plots.colors import LIGHT as LIGHT_PLOTS
from optlab.gui.plots.colors import PlotColors

ThemeName = Literal["system", "light", "dark"]


@dataclass(frozen=True)
class Theme:
    """Colors as ``#rrggbb``.

    Attributes:
        dark: whether it is a dark theme.
        window: background of windows.
        base: background of fields, tables and plots.
        text, muted: text, and text of less weight.
        accent, on_accent: background and text of primary buttons.
        error, good: error messages, and what is confirmed.
        error_ground, note_ground: backgrounds of banners.
        border: separators.
        edge: outlines of what can be edited, with a contrast of 3 to 1 to the background.
        plots: colors of the plots.
    """

    dark: bool
    window: str
    base: str
    text: str
    muted: str
    accent: str
    on_accent: str
    error: str
    good: str
    error_ground: str
    note_ground: str
    border: str
    edge: str
    plots: PlotColors


LIGHT = Theme(
    dark=False,
    window="#f3f5f8",
    base="#ffffff",
    text="#1f2328",
    muted="#59636e",
    accent="#0a66c2",
    on_accent="#ffffff",
    error="#b3261e",
    good="#1a7f37",
    error_ground="#fdecea",
    note_ground="#e8f1fb",
    border="#d0d7de",
    edge="#828b96",
    plots=LIGHT_PLOTS,
)
DARK = Theme(
    dark=True,
    window="#14171b",
    base="#1b1e23",
    text="#e3e6ea",
    muted="#9aa4b0",
    accent="#58a6ff",
    on_accent="#0b1520",
    error="#ff8a80",
    good="#4cc46a",
    error_ground="#3a1d1c",
    note_ground="#18293d",
    border="#363b44",
    edge="#757e8a",
    plots=DARK_PLOTS,
)


_OUTLINED = (
    "QCheckBox",
    "QComboBox",
    "QSlider",
    "QRadioButton",
    "QGroupBox",
    "QListView",
    "QTableView",
    "QTreeView",
    "QAbstractSpinBox",
    "QMenu",
)
"""Widgets whose boxes and frames Fusion outlines in a shade of the window color."""


class Notifier(QObject):
    """Emits a signal when the theme changes.

    Attributes:
        choice: theme that the user selected.
        following: application that has the theme, None before :func:`follow`.
    """

    themeChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.choice: ThemeName = "system"
        self.following: QApplication | None = None


@functools.cache
def notifier() -> Notifier:
    """Return the notifier of this process."""
    return Notifier()


def choice() -> ThemeName:
    """Return what the user selected."""
    return notifier().choice


def current() -> Theme:
    """Return the theme in use."""
    chosen = notifier().choice
    if chosen == "system":
        return DARK if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark else LIGHT
    return DARK if chosen == "dark" else LIGHT


def choose(choice: ThemeName) -> None:
    """Follow the system, or use one theme."""
    notifier().choice = choice
    _apply()


def follow(application: QApplication) -> None:
    """Apply the theme to the application, now and whenever the system's theme changes."""
    application.setStyle("Fusion")
    notifier().following = application
    application.styleHints().colorSchemeChanged.connect(_apply)
    _apply()


@contextmanager
def whole() -> Iterator[None]:
    """Let no widget be freed by the garbage collector while Qt walks over all of them.

    Qt keeps a list of the widgets while it styles one after the other, which executes code of
    theirs. The collector may run in that code, and free a closed window that is still in the list:
    the process then ends.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def unstyled() -> Iterator[None]:
    """Build widgets without the style sheet, which is applied once at the end.

    While a style sheet is in force, Qt styles a widget and everything in it again whenever it gets
    a parent: to build the main window took twice as long. No size may be measured meanwhile.
    """
    application = notifier().following
    if application is None:
        yield
        return
    with whole():
        application.setStyleSheet("")
    try:
        yield
    finally:
        with whole():
            application.setStyleSheet(style_sheet(current()))


def _apply() -> None:
    with kept_scrolling():
        _restyle()
        notifier().themeChanged.emit()


def _restyle() -> None:
    application = notifier().following
    if application is not None:
        theme = current()
        with whole():
            application.setPalette(palette(theme))
            for widget, controls in _control_palettes(theme).items():
                # PySide6 takes text here and refuses the bytes that its stubs ask for.
                application.setPalette(controls, widget)  # type: ignore[arg-type]
            # Without this, Qt styles what it remembers of the sheet before, and that may be a widget
            # that is gone: the process then ends.
            application.setStyleSheet("")
            application.setStyleSheet(style_sheet(theme))


def palette(theme: Theme) -> QPalette:
    """Return the palette of a theme, for an application or a window of its own colors."""
    found = QPalette()
    roles = {
        QPalette.ColorRole.Window: theme.window,
        QPalette.ColorRole.WindowText: theme.text,
        QPalette.ColorRole.Base: theme.base,
        QPalette.ColorRole.AlternateBase: theme.window,
        QPalette.ColorRole.Text: theme.text,
        QPalette.ColorRole.PlaceholderText: theme.muted,
        QPalette.ColorRole.Button: theme.base,
        QPalette.ColorRole.ButtonText: theme.text,
        QPalette.ColorRole.ToolTipBase: theme.base,
        QPalette.ColorRole.ToolTipText: theme.text,
        QPalette.ColorRole.Highlight: theme.accent,
        QPalette.ColorRole.HighlightedText: theme.on_accent,
        QPalette.ColorRole.Link: theme.accent,
        QPalette.ColorRole.Accent: theme.accent,
        QPalette.ColorRole.Mid: theme.border,
        QPalette.ColorRole.Dark: theme.border,
    }
    for role, color in roles.items():
        found.setColor(role, QColor(color))
    faded = QColor(theme.muted)
    faded.setAlphaF(0.65)
    for role in (
        QPalette.ColorRole.Text,
        QPalette.ColorRole.ButtonText,
        QPalette.ColorRole.WindowText,
    ):
        found.setColor(QPalette.ColorGroup.Disabled, role, faded)
    found.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Highlight, QColor(theme.border))
    return found


def _control_palettes(theme: Theme) -> dict[str, QPalette]:
    """Return the palettes of classes of widgets.

    Fusion outlines controls in a shade of the window color, which is invisible in a dark theme.
    """
    outlined = palette(theme)
    # Fusion darkens this color by 1.4 for outlines, and by a tenth less for those of boxes.
    factor = 140 if theme.dark else 127
    outlined.setColor(QPalette.ColorRole.Window, QColor(theme.edge).lighter(factor))
    return {name: QPalette(outlined) for name in _OUTLINED}


def color_controls(window: QWidget, theme: Theme) -> None:
    """Give the controls in a window of its own colors these, not those of the application."""
    palettes = _control_palettes(theme)
    for widget in window.findChildren(QWidget):
        for name, colors in palettes.items():
            if widget.inherits(name):
                widget.setPalette(colors)


def style_sheet(theme: Theme) -> str:
    """Return the style sheet of a theme, for what a palette cannot say."""
    return f"""
    QToolTip {{
        color: {theme.text}; background: {theme.base}; border: 1px solid {theme.border};
        padding: 6px;
    }}
    QSplitter::handle {{ background: transparent; }}
    QFrame#tile {{
        background: {theme.base}; border: 1px solid {theme.border}; border-radius: 6px;
    }}
    QFrame#tileHead, QFrame#tileBody {{
        background: {theme.base}; border: 1px solid {theme.border};
    }}
    QFrame#tileHead {{
        border-bottom: none; border-top-left-radius: 6px; border-top-right-radius: 6px;
    }}
    QFrame#tileBody {{
        border-top: none; border-bottom-left-radius: 6px; border-bottom-right-radius: 6px;
    }}
    QMainWindow#board {{ background: transparent; }}
    QMainWindow#board::separator {{ background: transparent; width: 4px; height: 4px; }}
    QMainWindow#board::separator:hover {{ background: {theme.border}; }}
    QLabel#tileTitle {{ font-weight: 600; color: {theme.text}; }}
    QLabel#muted, QLabel[role="muted"] {{ color: {theme.muted}; }}
    QLabel[role="problem"], QLabel[problem="true"] {{ color: {theme.error}; }}
    QLabel[role="note"] {{ color: {theme.accent}; }}
    QFrame#banner {{
        background: {theme.note_ground}; border: 1px solid {theme.border}; border-radius: 6px;
    }}
    QFrame#banner[problem="true"] {{ background: {theme.error_ground}; }}
    QToolButton[popupMode="2"] {{ padding-right: 18px; }}
    QToolButton::menu-indicator {{
        subcontrol-origin: padding; subcontrol-position: right center; right: 2px;
    }}
    QToolButton#sectionHead {{
        font-weight: 600; border: none; padding: 6px 4px; text-align: left; color: {theme.text};
    }}
    QToolButton#sectionHead:focus {{
        border: 1px solid {theme.accent}; border-radius: 4px; padding: 5px 3px;
    }}
    QToolButton#sectionHead:hover {{ color: {theme.accent}; }}
    QFrame#section {{
        background: {theme.base}; border: 1px solid {theme.border}; border-radius: 6px;
    }}
    QScrollArea#experimentScroll {{ background: transparent; border: none; }}
    QWidget#experimentColumn {{ background: transparent; }}
    QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
    QScrollBar::handle:vertical {{
        background: {theme.border}; border-radius: 4px; min-height: 32px; margin: 1px;
    }}
    QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
    QScrollBar::handle:horizontal {{
        background: {theme.border}; border-radius: 4px; min-width: 32px; margin: 1px;
    }}
    QScrollBar::handle:hover {{ background: {theme.muted}; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
    QPushButton {{
        padding: 5px 14px; border: 1px solid {theme.border}; border-radius: 5px;
        background: {theme.base}; color: {theme.text};
    }}
    QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
    QPushButton:hover {{ border-color: {theme.accent}; }}
    QPushButton:pressed {{ background: {theme.window}; }}
    QPushButton:checked, QToolButton#toggle:checked {{
        background: {theme.note_ground}; border: 1px solid {theme.accent}; color: {theme.accent};
    }}
    QPushButton:disabled {{ color: {theme.muted}; background: {theme.window}; }}
    QPushButton#primary {{
        background: {theme.accent}; color: {theme.on_accent}; border-color: {theme.accent};
        font-weight: 600;
    }}
    QPushButton#primary:disabled {{
        background: {theme.border}; color: {theme.muted}; border-color: {theme.border};
    }}
    QTabWidget::pane {{ border: none; }}
    QTabBar {{ qproperty-drawBase: 0; }}
    QTabBar::tab {{
        padding: 5px 12px; color: {theme.muted}; background: transparent; border: none;
        border-bottom: 2px solid transparent;
    }}
    QTabBar::tab:selected {{ color: {theme.text}; border-bottom-color: {theme.accent}; }}
    QTabBar::tab:hover {{ color: {theme.text}; }}
    QProgressBar {{ border: none; background: {theme.border}; border-radius: 4px; }}
    QProgressBar::chunk {{ background: {theme.accent}; border-radius: 4px; }}
    QLineEdit {{ border: 1px solid {theme.edge}; border-radius: 4px; padding: 2px 5px; }}
    QAbstractSpinBox {{ min-height: 16px; }}
    QLineEdit:focus {{ border-color: {theme.accent}; }}
    QLineEdit:disabled {{ border-color: {theme.border}; background: {theme.window}; }}
    QLineEdit[invalid="true"] {{ border-color: {theme.error}; }}
    QHeaderView::section {{
        background: {theme.window}; color: {theme.muted}; border: none;
        border-bottom: 1px solid {theme.border}; padding: 6px 10px; font-weight: 600;
    }}
    QTableView, QTreeView, QListWidget {{
        border: 1px solid {theme.border}; border-radius: 6px; gridline-color: {theme.border};
    }}
    QTableCornerButton::section {{ background: {theme.window}; border: none; }}
    QHeaderView {{ background: {theme.window}; }}
    QAbstractItemView QScrollBar:horizontal, QAbstractItemView QScrollBar:vertical {{
        background: {theme.base};
    }}
    QAbstractScrollArea::corner {{ background: transparent; }}
    QTableView::item {{ padding: 0 10px; }}
    /* Fusion fills the list of a box with the window color, which here is that of outlines. */
    QComboBox QAbstractItemView {{
        background: {theme.base}; border: 1px solid {theme.edge};
        selection-background-color: {theme.accent}; selection-color: {theme.on_accent};
    }}
    QComboBox QAbstractItemView::item:selected {{
        background: {theme.accent}; color: {theme.on_accent};
    }}
    QListView#commands::item {{ padding: 3px 6px; }}
    QListView#commands::item:selected {{ background: {theme.accent}; color: {theme.on_accent}; }}
    QToolButton:focus, QPushButton:focus, QCommandLinkButton:focus {{
        border: 1px solid {theme.accent}; border-radius: 4px;
    }}
    QPushButton#primary:focus {{ border-color: {theme.text}; }}
    QTabBar::tab:focus {{ color: {theme.accent}; }}
    QCheckBox:focus, QRadioButton:focus {{ color: {theme.accent}; }}
    QAbstractItemView:focus, QAbstractScrollArea#page:focus {{ border: 1px solid {theme.accent}; }}
    QTableView::item:selected {{ background: {theme.accent}; color: {theme.on_accent}; }}
    """
