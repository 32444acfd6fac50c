"""The step window: one step of a run, the lines of its rule with the numbers in them."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QEvent, Qt, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QTextDocument
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QTextBrowser, QVBoxLayout, QWidget

from optlab.core.plain_math import plain
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.forms.formula import image
from optlab.gui.geometry import resize_to_screen
from optlab.gui.plain_text import PlainLabel
from optlab.history.explaining import ExplainedLine, Quantity, StepExplanation, shown
from optlab.history.plan import Plan
from optlab.tasks.history import ExplainTask


class StepWindow(QWidget):
    """Explains the step that leads to the step that is looked at; it follows the timeline.

    Signals: ``closed()``.
    """

    closed = Signal()

    def __init__(self, prewarmer: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("stepWindow")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("One step – OptLab")
        resize_to_screen(self, 760, 620)
        self.explanation: StepExplanation | None = None
        self._run_id, self._step = "", 0
        self.parameter = QLineEdit()
        self.parameter.setAccessibleName("Parameter")
        self.parameter.setPlaceholderText("the one that moves most, or layers.0.weight[3,5]")
        self.parameter.editingFinished.connect(lambda: self.explain(self._run_id, self._step))
        self.message = PlainLabel("")
        self.message.setWordWrap(True)
        self.message.setProperty("role", "muted")
        self.view = QTextBrowser()
        self.view.setAccessibleName("The step in numbers")
        top = QHBoxLayout()
        top.addWidget(PlainLabel("Parameter"))
        top.addWidget(self.parameter, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.message)
        layout.addWidget(self.view, 1)
        self.work = TaskBridge(prewarmer.pool, self)
        self.work.answered.connect(self._answered)
        self.work.failed.connect(self.message.setText)
        self.work.dataChanged.connect(lambda sentence, _task: self.message.setText(sentence))

    def explain(self, run_id: str, step: int) -> None:
        """Explain the step of a run that leads to ``step``; nothing leads to its first."""
        if not run_id or step < 1:
            return
        self._run_id, self._step = run_id, step
        self.message.setText(f"Taking step {step:,} again…")
        self.work.ask(ExplainTask(run_id, step, parameter=self.parameter.text().strip()))

    def _answered(self, result: object) -> None:
        if isinstance(result, Plan) and result.announcement:
            self.message.setText(result.announcement)
        elif isinstance(result, StepExplanation):
            self.explanation = result
            self.message.setText(
                f"Step {result.step:,}: loss on the batch {result.loss:.6g}, gradient norm "
                f"{result.gradient_norm:.6g}, update norm {result.update_norm:.6g}. "
                + " ".join(result.notes)
            )
            self._write()

    def _write(self) -> None:
        found = self.explanation
        if found is None:
            return
        colors = theme.current()
        document = self.view.document()
        document.clear()
        pictures = _Pictures(document, colors.text, self.devicePixelRatioF())
        document.setDefaultStyleSheet(
            f"h2 {{ font-size: 14px; color: {colors.muted}; }} td {{ padding: 2px 14px 2px 0; }} "
            f"p {{ margin: 5px 0; }} .muted {{ color: {colors.muted}; }}"
        )
        parts = [f"<h2>{escape(found.optimizer)}: {escape(found.parameter)}</h2>"]
        parts += [_line(line, pictures) for line in found.lines]
        change = found.after - found.before
        parts.append(
            f"<p><b>{found.before:.9g} → {found.after:.9g}</b> &nbsp;({change:+.3g})</p>"
            "<h2>Inputs of the rule</h2><table>"
        )
        parts += [_row(quantity) for quantity in found.quantities]
        self.view.setHtml("".join(parts) + "</table>")

    def changeEvent(self, event: QEvent) -> None:  # Qt's name
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "view"):
            self._write()

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        self.work.shut_down()
        self.closed.emit()
        event.accept()


class _Pictures:
    """Typeset lines as images of a document."""

    def __init__(self, document: QTextDocument, color: str, ratio: float) -> None:
        self._document, self._color, self._ratio = document, color, ratio
        self._count = 0

    def html(self, latex: str) -> str:
        """Return the HTML of a line; its source where it cannot be typeset."""
        # A sign in front, not a difference.
        signed = latex.replace("(-", "({-}").replace("= -", "= {-}")
        picture = image(signed, self._color, self._ratio)
        if picture is None:
            return f"<code>{escape(plain(latex))}</code>"
        self._count += 1
        url = f"step:{self._count}"
        self._document.addResource(QTextDocument.ResourceType.ImageResource, QUrl(url), picture)
        return f'<img src="{url}" alt="{escape(plain(latex))}">'


def _line(line: ExplainedLine, pictures: _Pictures) -> str:
    parts = [f"<p>{pictures.html(line.latex)}</p>"]
    if line.numbers:
        parts.append(f"<p>&nbsp;&nbsp;{pictures.html(f'= {line.numbers}')}</p>")
    if line.value is not None:
        parts.append(f"<p>&nbsp;&nbsp;{pictures.html(f'= {shown(line.value)}')}</p>")
    if line.norm is not None:
        parts.append(f"<p class='muted'>&nbsp;&nbsp;norm of all: {_number(line.norm)}</p>")
    return "".join(parts)


def _row(quantity: Quantity) -> str:
    value = "–" if quantity.value is None else _number(quantity.value)
    norm = "" if quantity.norm is None else f"norm of all: {_number(quantity.norm)}"
    return (
        f"<tr><td>{escape(quantity.symbol)}</td><td>{value}</td>"
        f"<td class='muted'>{escape(quantity.meaning)}</td><td class='muted'>{norm}</td></tr>"
    )


def _number(value: float) -> str:
    return escape(plain(shown(value)))
