"""Undo and redo over every edit of the experiment, whatever made it.

An edit is found by comparison: after each change the panel is asked for its tables, and what differs
from those before becomes one entry. So a typed digit, a slider, a picked component, an import and an
opened file are undone in the same way. Digits typed into one field are one entry.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack
from PySide6.QtWidgets import QApplication, QLineEdit

from optlab.core.wording import in_sentence
from optlab.gui.experiment_files import ExperimentFiles
from optlab.gui.panels.experiment_panel import ExperimentPanel

_MERGE_SECONDS = 1.5
"""Time within which changes of one field are one entry although none is typed."""
_MERGEABLE = 1
MAX_ENTRIES = 200
"""Edits that can be undone; each keeps two sets of tables."""

Tables = dict[str, Any]


@dataclass
class Document:
    """What the editor shows the edits of.

    Attributes:
        file: where it is saved, None where it is not.
        saved: its tables as they were opened or saved last.
    """

    file: Path | None
    saved: Tables


class EditHistory(QObject):
    """The edits of the experiment, to be undone and redone.

    Args:
        panel: is edited. files: know where the experiment is saved. parent: owner.

    Signals: ``changed()``: something else can be undone or redone; ``refused(str)``: why nothing was;
    ``shown()``: the panel shows what an edit that was undone or redone had shown.
    """

    changed = Signal()
    refused = Signal(str)
    shown = Signal()

    def __init__(self, panel: ExperimentPanel, files: ExperimentFiles, parent: QObject) -> None:
        super().__init__(parent)
        self._panel, self._files = panel, files
        self._stack = QUndoStack(self)
        self._stack.setUndoLimit(MAX_ENTRIES)
        self._applying = False
        self._joins = False
        self._shown: Tables | None = None
        self._document = Document(files.file, panel.saved())
        self._opened = panel.opened_experiments
        panel.experimentChanged.connect(lambda _experiment: self._compare())

    # --- what can be undone -----------------------------------------------------------------------

    def undo_text(self) -> str:
        """Return what :meth:`undo` takes back, or "" where there is nothing."""
        if self._panel.form.typed_errors():
            return "typing"
        return self._stack.undoText()

    def redo_text(self) -> str:
        """Return what :meth:`redo` does again, or "" where there is nothing."""
        return self._stack.redoText()

    def undo(self) -> None:
        """Take back the last edit; first of all, text that is no value."""
        if self._panel.form.drop_typed_errors():
            self._panel.check()
            self.changed.emit()
            return
        if self._stack.canUndo() and self._may(self._stack.index() - 1):
            self._stack.undo()
            self.changed.emit()

    def redo(self) -> None:
        """Redo the edit that was undone last."""
        if self._stack.canRedo() and self._may(self._stack.index()):
            self._stack.redo()
            self.changed.emit()

    def clear(self) -> None:
        """Forget all edits: what is shown now is where they begin."""
        self._stack.clear()
        self._shown = self._panel.tables()
        self._document = Document(self._files.file, self._panel.saved())
        self._opened = self._panel.opened_experiments
        self.changed.emit()

    def _may(self, index: int) -> bool:
        command = self._stack.command(index)
        assert isinstance(command, _Edit)
        if not self._panel.locked or self._panel.is_live(command.paths):
            return True
        self.refused.emit(
            f"A run is in progress, and “{command.text()}” cannot be undone or redone during a run. "
            "Stop it first."
        )
        return False

    # --- finding edits ----------------------------------------------------------------------------

    def _compare(self) -> None:
        if self._applying:
            return
        tables = self._panel.tables()
        opened = self._panel.opened_experiments != self._opened
        before, self._shown = self._shown, tables
        self._opened = self._panel.opened_experiments
        if before is None:
            return
        paths = differing(before, tables)
        # While data or a model of the user's own are read, the loss may follow from them.
        joins, self._joins = self._joins, self._panel.pending
        if opened:
            self._remember_document()
            previous, self._document = self._document, Document(None, self._panel.saved())
            if paths:
                self._push(_Edit(self, "Open experiment", before, tables, paths, previous))
        elif paths:
            edit = _Edit(self, self._named(paths), before, tables, paths, self._document)
            edit.follows = joins and all(path.startswith("loss.") for path in paths)
            self._push(edit)
        self.changed.emit()

    def _push(self, edit: _Edit) -> None:
        self._applying = True
        try:
            self._stack.push(edit)
        finally:
            self._applying = False

    def _named(self, paths: list[str]) -> str:
        editors = self._panel.form.editors()
        if len(paths) == 1 and paths[0] in editors:
            return in_sentence(editors[paths[0]].field.label)
        sections = {path.partition(".")[0] for path in paths}
        known = [self._panel.sections[key].title for key in self._panel.sections if key in sections]
        return in_sentence(known[0]) if known else "edit"

    def _remember_document(self) -> None:
        self._document.file = self._files.file_before_opening
        self._document.saved = self._panel.saved_before_opening()

    # --- applying ---------------------------------------------------------------------------------

    def show(self, tables: Tables, paths: list[str], document: Document) -> None:
        """Show tables in place of those that are shown; for an edit that is undone or redone."""
        if self._applying:
            return
        self._applying = True
        try:
            if self._panel.locked:
                self._panel.change_live({path: at(tables, path) for path in paths})
            else:
                if document is not self._document:
                    self._document.file, self._document.saved = (
                        self._files.file,
                        self._panel.saved(),
                    )
                    self._document = document
                    self._panel.show_tables(tables, document.saved)
                    self._files.set_file(document.file)
                else:
                    self._panel.show_tables(tables, self._panel.saved())
                self._panel.form.reveal(paths[0])
        finally:
            self._applying = False
            self._shown = self._panel.tables()
        self.shown.emit()


class _Edit(QUndoCommand):
    """The step from some tables to others.

    Attributes:
        paths: what differs. document: of the tables before. follows: whether it is a consequence of
            the edit before it.
    """

    def __init__(
        self,
        history: EditHistory,
        text: str,
        before: Tables,
        after: Tables,
        paths: list[str],
        document: Document,
    ) -> None:
        super().__init__(text)
        self.paths, self.follows, self.moment = paths, False, time.monotonic()
        self.before, self.after = before, after
        self.document, self.document_after = document, history._document
        self.focus = QApplication.focusWidget()
        self._history = history

    def undo(self) -> None:
        self._history.show(self.before, self.paths, self.document)

    def redo(self) -> None:
        self._history.show(self.after, self.paths, self.document_after)

    def id(self) -> int:
        return _MERGEABLE

    def mergeWith(self, other: QUndoCommand) -> bool:  # Qt's name
        assert isinstance(other, _Edit)
        if not (other.follows or self._continued_by(other)):
            return False
        self.after, self.moment = other.after, other.moment
        self.paths = differing(self.before, self.after) or self.paths
        self.setObsolete(self.before == self.after)
        return True

    def _continued_by(self, other: _Edit) -> bool:
        if other.paths != self.paths or len(self.paths) != 1 or other.document is not self.document:
            return False
        typing = isinstance(self.focus, QLineEdit) and self.focus is other.focus
        return typing or other.moment - self.moment < _MERGE_SECONDS


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the dotted paths at which two sets of tables differ, in order.

    The title is among them only where nothing else is.
    """
    one, other = _flat(before), _flat(after)
    missing = object()
    paths = [
        path
        for path in dict.fromkeys((*one, *other))
        if one.get(path, missing) != other.get(path, missing)
    ]
    # The title follows from an edit that it does not describe any more.
    return [path for path in paths if path != "title"] or paths


def at(tables: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path."""
    return _flat(tables)[path]


def _flat(tables: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value
    return flat
