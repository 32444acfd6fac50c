"""The symbols of the window are in the fonts of a plain desktop: none is drawn as an empty box."""

from __future__ import annotations

import ast
from pathlib import Path

from PySide6.QtGui import QFont, QFontDatabase, QFontMetrics
from pytestqt.qtbot import QtBot

import optlab.gui
from optlab.tasks import run_table

FONT = "DejaVu Sans"
"""Installed by every desktop of Linux; the fonts of the others have more symbols."""
TEXTS = [*sorted(Path(optlab.gui.__path__[0]).rglob("*.py")), Path(run_table.__file__)]


def symbols(path: Path) -> set[str]:
    """Return what texts of a module have beyond ASCII, without marks that join a letter."""
    texts = (node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(node, ast.Constant) and isinstance(node.value, str))  # fmt: skip
    return {one for text in texts for one in text if ord(one) > 0x7E and one.isprintable()}


def test_that_no_symbol_of_the_window_is_missing_in_a_plain_font(qtbot: QtBot) -> None:
    installed = QFontDatabase.families()
    families = [FONT] if FONT in installed else installed
    fonts = [QFontMetrics(QFont(family)) for family in families]
    missing = {
        f"{one} (U+{ord(one):04X}) in {path.name}"
        for path in TEXTS
        for one in symbols(path)
        if not any(font.inFontUcs4(ord(one)) for font in fonts)
    }
    assert not missing
    # No character, so that no font has it: the measurement notices what is missing.
    assert not any(font.inFontUcs4(0x10FFFE) for font in fonts)
