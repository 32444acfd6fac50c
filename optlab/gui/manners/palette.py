"""The command palette: whatever the window can do or show, found by a few letters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QLineEdit,
    QListView,
    QMenu,
    QMenuBar,
    QVBoxLayout,
    QWidget,
)

from optlab.core import registry
from optlab.core.printable import printable
from optlab.core.wording import in_sentence
from optlab.experiment.presets import presets
from optlab.experiment.sections import SECTIONS
from optlab.gui.geometry import resize_to_screen
from optlab.gui.manners.fuzzy import score
from optlab.gui.plain_text import PlainLabel
from optlab.store import RunRecord

SHOWN = 60
"""Entries that are listed at most; typing another letter is quicker than reading more."""
_KEYS = (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp)


@dataclass(frozen=True)
class Entry:
    """Something that can be chosen.

    Attributes:
        text: what is searched and shown. act: does it. hint: shown beside it, such as a shortcut.
        rank: added to its score, so that among equals a command comes before a page.
    """

    text: str
    act: Callable[[], object]
    hint: str = ""
    rank: float = 0.0


def actions_of(menu_bar: QMenuBar) -> Iterator[tuple[str, QAction]]:
    """Yield the way to each action of a menu bar, such as "File: Open experiment", and the action."""
    for top in menu_bar.actions():
        menu = top.menu()
        if isinstance(menu, QMenu):
            yield from _below(menu, _words(top))


def _below(menu: QMenu, way: str) -> Iterator[tuple[str, QAction]]:
    for action in menu.actions():
        inner = action.menu()
        if isinstance(inner, QMenu):
            yield from _below(inner, f"{way}: {_words(action)}")
        elif not action.isSeparator() and action.text():
            yield f"{way}: {_words(action)}", action


def _words(action: QAction) -> str:
    text = action.text().partition("\t")[0]
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&").rstrip("…")


def keys_of(action: QAction) -> str:
    """Return the shortcuts of an action, or those that its text names; "" for none."""
    form = QKeySequence.SequenceFormat.NativeText
    own = ", ".join(keys.toString(form) for keys in action.shortcuts())
    return own or action.text().partition("\t")[2]


def command_entries(menu_bar: QMenuBar) -> list[Entry]:
    """Return an entry for each action that is enabled."""
    return [
        Entry(way, action.trigger, keys_of(action), 2.0)
        for way, action in actions_of(menu_bar)
        if action.isEnabled()
    ]


def catalogue_entries(
    pick: Callable[[str, str], object], show: Callable[[str, str], object]
) -> list[Entry]:
    """Return entries that pick a component for the experiment, and that show its page."""
    entries: list[Entry] = []
    for kind, section in registry.sections().items():
        for component in registry.components(kind):
            title = in_sentence(section.title)
            if kind in SECTIONS and not component.unavailable():
                text = f"Use {component.label} ({title})"
                entries.append(Entry(text, partial(pick, kind, component.name), rank=1.0))
            text = f"Help: {component.label} ({title})"
            entries.append(Entry(text, partial(show, kind, component.name)))
    return entries


def preset_entries(load: Callable[[Path], object]) -> list[Entry]:
    """Return an entry for each experiment that ships with OptLab."""
    return [
        Entry(f"Open {preset.title} ({preset.name})", partial(load, preset.path), rank=0.5)
        for preset in presets()
    ]


def run_entries(records: Iterable[RunRecord], show: Callable[[str], object]) -> list[Entry]:
    """Return an entry for each stored run."""
    return [
        Entry(
            f"Show run {printable(record.title)} ({record.id})",
            partial(show, record.id),
            f"{record.status}, {record.steps:,} steps",
        )
        for record in records
    ]


class _Found(QAbstractListModel):
    """The entries that fit, the likeliest first."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.entries: list[Entry] = []

    def show(self, entries: list[Entry]) -> None:
        self.beginResetModel()
        self.entries = entries
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's name
        return 0 if parent.isValid() else len(self.entries)

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> str | None:
        entry = self.entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{entry.text}    {entry.hint}" if entry.hint else entry.text
        return None


class CommandPalette(QDialog):
    """A line and the entries that fit what is typed; Return chooses, Escape closes.

    Args:
        entries: what can be chosen. parent: the window.
    """

    def __init__(self, entries: Sequence[Entry], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Command palette")
        self.setObjectName("commandPalette")
        resize_to_screen(self, 640, 440)
        self._entries = list(entries)
        self.line = QLineEdit()
        self.line.setPlaceholderText("Type a few letters of a command, component, preset or run…")
        self.line.setAccessibleName("Search commands")
        self._found = _Found(self)
        self.list = QListView()
        self.list.setObjectName("commands")
        self.list.setModel(self._found)
        self.list.setUniformItemSizes(True)
        self.list.setAccessibleName("Commands")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.nothing = PlainLabel("No match.")
        self.nothing.setProperty("role", "muted")
        layout = QVBoxLayout(self)
        layout.addWidget(self.line)
        layout.addWidget(self.nothing)
        layout.addWidget(self.list, 1)
        self.line.textChanged.connect(lambda _text: self._search())
        self.line.installEventFilter(self)
        self.list.activated.connect(lambda _index: self._choose())
        self.list.clicked.connect(lambda _index: self._choose())
        self._search()

    def add(self, entries: Sequence[Entry]) -> None:
        """Add entries that came later, such as stored runs that had to be read."""
        self._entries += entries
        self._search()

    def shown(self) -> list[str]:
        """Return the texts that are listed, the likeliest first."""
        return [entry.text for entry in self._found.entries]

    def _search(self) -> None:
        typed = self.line.text()
        scored = [
            (points + entry.rank, -number, entry)
            for number, entry in enumerate(self._entries)
            if (points := score(typed, entry.text)) is not None
        ]
        scored.sort(key=lambda item: item[:2], reverse=True)
        chosen = self.list.currentIndex().row() if not typed else 0
        self._found.show([entry for *_, entry in scored[:SHOWN]])
        self.nothing.setVisible(not scored)
        self.list.setCurrentIndex(self._found.index(max(0, chosen), 0))

    def _choose(self) -> None:
        row = self.list.currentIndex().row()
        if not 0 <= row < len(self._found.entries):
            return
        entry = self._found.entries[row]
        self.accept()
        entry.act()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """Let arrow keys move through the list while the line has the focus, and Return choose."""
        if watched is self.line and event.type() == QEvent.Type.KeyPress:
            assert isinstance(event, QKeyEvent)
            if event.key() in _KEYS:
                self.list.keyPressEvent(event)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._choose()
                return True
        return super().eventFilter(watched, event)
