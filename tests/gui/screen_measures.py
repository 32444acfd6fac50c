"""Measures every window on one screen: run by ``test_screen_sizes.py`` in a process of its own.

What does not fit is printed, one line each; the exit status is 1 then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from PySide6.QtCore import QEvent, QRect, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QApplication,
    QCheckBox,
    QComboBox,
    QCommandLinkButton,
    QLabel,
    QPushButton,
    QRadioButton,
    QWidget,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import all_windows

from optlab.gui import theme
from optlab.gui.app import create_application
from optlab.gui.main_window import MainWindow
from optlab.gui.places import TITLES

SLACK = 1
"""Logical pixels that rounding may cost."""


def settle() -> None:
    for _ in range(4):
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    # A text may have come with the last of them: what it needs in height is given it later.
    for _ in range(4):
        QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)


def scrolls(widget: QWidget, top: QWidget) -> bool:
    """Whether a widget can be scrolled into sight."""
    parent = widget.parentWidget()
    while parent is not None and parent is not top:
        if isinstance(parent, QAbstractScrollArea):
            return True
        parent = parent.parentWidget()
    return False


def described(widget: QWidget, text: str) -> str:
    return f"{type(widget).__name__} “{text[:50]}” is {widget.width()}×{widget.height()}"


def text_problems(top: QWidget) -> Iterator[str]:
    """Yield what is wrong with the texts of a window's visible labels and buttons."""
    for widget in top.findChildren(QWidget):
        if not widget.isVisible() or widget.width() == 0:
            continue
        if isinstance(widget, QLabel):
            yield from label_problems(widget)
        elif isinstance(widget, QAbstractButton) and widget.text():
            yield from button_problems(widget)
        elif isinstance(widget, QComboBox) and widget.currentText():
            needed = widget.fontMetrics().horizontalAdvance(widget.currentText())
            if needed > widget.width() - 16 + SLACK and not widget.toolTip():
                yield f"{described(widget, widget.currentText())}, its text {needed} wide"
        else:
            continue
        visible = widget.visibleRegion().boundingRect()
        if not scrolls(widget, top) and visible != widget.rect():
            yield f"{described(widget, named(widget))}, of which {visible} is visible"


def named(widget: QWidget) -> str:
    return str(getattr(widget, "text", widget.objectName)() or widget.objectName())


def label_problems(label: QLabel) -> Iterator[str]:
    text = label.text()
    if label.buddy() is not None:
        text = text.replace("&", "")
    if not text or label.textFormat() == Qt.TextFormat.RichText or not label.pixmap().isNull():
        return
    if label.buddy() is not None:  # an ampersand marks its shortcut
        text = text.replace("&", "")
    if hasattr(label, "shown_text"):  # an elided label, whose full text is in its tool tip
        if label.shown_text() != text and not label.toolTip():
            yield f"{described(label, text)}, elided without a tool tip"
        return
    inside = label.contentsRect()
    if label.wordWrap():
        needed = label.heightForWidth(label.width())
        if label.height() < needed - SLACK:
            yield f"{described(label, text)}, its text {needed} high"
        return
    metrics = label.fontMetrics()
    needed = max(metrics.horizontalAdvance(line) for line in text.split("\n"))
    if needed > inside.width() + SLACK:
        yield f"{described(label, text)}, its text {needed} wide"
    if inside.height() < metrics.height() * (text.count("\n") + 1) - 2 - SLACK:
        yield f"{described(label, text)}, its text higher"


def button_problems(button: QAbstractButton) -> Iterator[str]:
    plain = button.text().replace("&&", "\0").replace("&", "").replace("\0", "&")
    needed = button.fontMetrics().horizontalAdvance(plain)
    if isinstance(button, QCheckBox | QRadioButton):
        needed += 18
    if not button.icon().isNull():
        needed += button.iconSize().width()
    if hasattr(button, "shown_text"):
        # An entry of a legend, whose tool tip has the name.
        if button.shown_text() != button.text() and button.text() not in button.toolTip():
            yield f"{described(button, plain)}, elided without a tool tip"
        return
    if needed > button.width() + SLACK:
        yield f"{described(button, plain)}, its text {needed} wide"
    if isinstance(button, QCommandLinkButton):
        high = button.heightForWidth(button.width())
        if high > button.height() + SLACK:
            yield f"{described(button, plain)}, its description {high} high"


def main() -> int:
    application = create_application(["optlab"])
    theme.follow(application)
    window = MainWindow(None, "thread")
    window.show()
    available = window.screen().availableGeometry()
    problems: list[str] = []

    def check(when: str, top: QWidget) -> None:
        settle()
        if not available.contains(top.frameGeometry()):
            problems.append(f"{when}: window {top.frameGeometry()} on screen {available}")
        problems.extend(f"{when}: {problem}" for problem in text_problems(top))

    def check_controls(when: str) -> None:
        check(when, window)
        for button in window.controls.findChildren(QPushButton):
            area = QRect(button.mapTo(window, button.rect().topLeft()), button.size())
            whole = button.visibleRegion().boundingRect() == button.rect()
            if not window.rect().contains(area) or not whole:
                problems.append(f"{when}: {button.text()} at {area} in {window.rect()}")

    check_controls("at first")
    before = window.size()
    window.controls.begin(10**9, 123456789, "NVIDIA H100 80GB HBM3, 16 threads, deterministic")
    window.controls.set_state("running")
    for second in range(3):
        window.controls.advance(123456789 + second, float(second))
    window.diagnosis_panel.sentence.setText("The loss oscillates between two values. " * 4)
    window.diagnosis_panel.show()
    window.banner.show_sentence(
        "The run was interrupted. " * 20, {"Resume": print, "All runs…": print}
    )
    settle()
    if window.size() != before:
        problems.append(f"grew from {before} to {window.size()} with long texts")
    # What they say in fact is two sentences at most.
    window.diagnosis_panel.sentence.setText("The loss oscillates between two values. " * 2)
    window.banner.show_sentence(
        "“Digits · MLP · momentum” was interrupted after 123,456 steps. Everything up to there is "
        "saved.",
        {"Resume": print, "All runs…": print},
    )
    check_controls("running")
    controls = window.controls
    controls.begin(999_999_999_999, 0, "CPU, 16 threads")
    controls.set_mode("compiled")
    for second in range(2):
        controls.advance(123_456_000_000 + 12_345 * second, float(second))
    figures = controls.figures
    settle()
    if available.width() >= 1280 and figures.shown_text() != figures.text():
        problems.append(f"the figures are elided: {figures.shown_text()}")
    window.controls.set_state("paused")
    check_controls("paused")
    if window.size() != before:
        problems.append(f"grew from {before} to {window.size()}")
    window.banner.hide()
    window.diagnosis_panel.hide()
    for name in list(TITLES)[1:]:
        window.secondary_windows.show_place(name)
        check(f"place {name}", window)
        window.places.close_place(name)
    for name, other in all_windows.windows(window, {"run_id": "no such run"}):
        other.show()
        settle()
        if other.width() > available.width() or other.height() > available.height():
            problems.append(f"{name}: {other.size()} on screen {available}")
        problems.extend(f"{name}: {problem}" for problem in text_problems(other))
        if hasattr(other, "_show_status") and hasattr(other, "status_label"):
            other._show_status("What was computed, in words.")
            settle()
            label = other.status_label
            whole = label.visibleRegion().boundingRect() == label.rect()
            if not whole and (name == "LandscapeWindow" or not scrolls(label, other)):
                problems.append(f"{name}: the result in words is cut off at {other.size()}")
        other.close()
    window.close_without_asking()
    print(*dict.fromkeys(problems), sep="\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
