"""The page of a component as rich text with typeset formulas."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import QShowEvent, QTextCharFormat, QTextDocument
from PySide6.QtWidgets import QTextBrowser, QTextEdit

from optlab.core import registry
from optlab.experiment.pages import Page, page
from optlab.gui import theme
from optlab.gui.forms.field_editor import text_of
from optlab.gui.forms.formula import image

MAX_MARKS = 500
"""Words of a search that are marked on a page."""


class PageView(QTextBrowser):
    """Shows one page at a time, and renders it again when the theme changes."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)
        self.page: Page | None = None
        self._field = ""
        self._terms: list[str] = []

    def show_component(self, kind: str, name: str, field: str = "") -> None:
        """Show the page of a component, at one of its fields if there is one named."""
        self.page, self._field = page(registry.get(kind, name)), field
        self.setAccessibleName(f"Page of {self.page.label}")
        self._write()

    def show_terms(self, text: str) -> None:
        """Mark the words of a search, on this page and those that follow."""
        self._terms = text.split()
        self._mark()

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        """Scroll to the field, once there is a size to scroll in."""
        super().showEvent(event)
        if self._field:
            self.scrollToAnchor(self._field)

    def _mark(self) -> None:
        marks: list[QTextEdit.ExtraSelection] = []
        form = QTextCharFormat()
        form.setBackground(self.palette().highlight())
        form.setForeground(self.palette().highlightedText())
        for term in self._terms:
            cursor = self.document().find(term)
            while not cursor.isNull() and len(marks) < MAX_MARKS:
                mark = QTextEdit.ExtraSelection()
                mark.cursor, mark.format = cursor, form
                marks.append(mark)
                cursor = self.document().find(term, cursor)
        self.setExtraSelections(marks)

    def changeEvent(self, event: QEvent) -> None:  # Qt's name
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._write()

    def _write(self) -> None:
        if self.page is None:
            return
        colors = theme.current()
        document = self.document()
        document.clear()
        formulas: list[str] = []
        for number, line in enumerate(self.page.rule):
            picture = image(line, colors.text, self.devicePixelRatioF())
            if picture is None:
                formulas.append(f"<code>{escape(line)}</code>")
            else:
                url = f"formula:{number}"
                document.addResource(QTextDocument.ResourceType.ImageResource, QUrl(url), picture)
                formulas.append(f'<img src="{url}" alt="{escape(line)}">')
        document.setDefaultStyleSheet(
            f"h1 {{ font-size: 20px; }} h2 {{ font-size: 14px; color: {colors.muted}; }} "
            f"th {{ text-align: left; color: {colors.muted}; }} "
            "td, th { padding: 3px 14px 3px 0; } p { margin: 6px 0; } "
            "pre, code { font-family: monospace; white-space: pre-wrap; }"
        )
        self.setHtml(_html(self.page, formulas))
        self._mark()
        if self._field:
            self.scrollToAnchor(self._field)


def _html(about: Page, formulas: list[str]) -> str:
    parts = [f"<h1>{escape(about.label)}</h1>", f"<p><b>{escape(about.sentence)}</b></p>"]
    parts += [f"<p>{escape(paragraph)}</p>" for paragraph in about.explanation]
    if formulas:
        parts.append("<h2>Rule</h2>" + "".join(f"<p>{formula}</p>" for formula in formulas))
    if about.symbols:
        rows = "".join(
            f"<tr><td>{escape(symbol)}</td><td>{escape(meaning)}</td></tr>"
            for symbol, meaning in about.symbols
        )
        parts.append(f"<h2>Symbols</h2><table>{rows}</table>")
    if about.fields:
        head = "<tr><th>Field</th><th>Name in files</th><th>Default</th><th>Allowed</th></tr>"
        rows = "".join(
            f"<tr><td><a name='{field.name}'></a>"
            f"{escape(f'{field.label} {field.symbol}'.strip())}</td>"
            f"<td><code>{about.kind}.{field.name}</code></td>"
            f"<td>{escape(text_of(field.default))}</td><td>{escape(field.allowed)}</td></tr>"
            f"<tr><td></td><td colspan='3'>{escape(field.help)} {escape(field.why)}</td></tr>"
            for field in about.fields
        )
        parts.append(f"<h2>Fields</h2><table>{head}{rows}</table>")
    if about.differences:
        parts.append(f"<h2>In other libraries</h2><p>{escape(about.differences)}</p>")
    if about.source:
        parts.append(f"<h2>Source</h2><p>{escape(about.source)}</p>")
    if about.example:
        parts.append(f"<h2>In an experiment file</h2><pre>{escape(about.example)}</pre>")
    return "".join(parts)
