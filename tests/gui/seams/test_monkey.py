"""A monkey at the window: whatever it does, nothing raises, warns, or is left behind.

Its actions are rules of a state machine, on the real main window with real runs, through widgets
and actions that are found by walking. The test makes a few of them; ``make soak`` ten thousand, in
a file system in which only the data folder can be written to (``tests/soak/test_many_actions.py``
runs this file as a script).
"""

from __future__ import annotations

import gc
import logging
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import psutil
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PySide6.QtCore import QEvent, Qt, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QMenu,
    QTabBar,
    QWidget,
)

from optlab.core import registry
from optlab.experiment.named import load
from optlab.experiment.sections import SECTIONS
from optlab.gui import theme
from optlab.gui.main_window import MainWindow
from optlab.gui.places import TITLES

QUIET = (
    "This plugin does not support propagateSizeHints",
    "This plugin does not support raise",
    "This plugin does not support grabbing",
)
"""Messages of the off-screen platform that say nothing of the program."""
NOT_CLICKED = ("quit",)
"""Begin of the texts of what ends the program."""
TEXTS = (
    "",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "1e-3",
    "1e999",
    "nan",
    "abc",
    "digits",
    "<b>x</b>",
    "ε",
)
KEYS = (
    *(Qt.Key.Key_Tab, Qt.Key.Key_Backtab, Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Escape),
    *(Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home),
    *(Qt.Key.Key_PageDown, Qt.Key.Key_PageUp, Qt.Key.Key_F1, Qt.Key.Key_F11, Qt.Key.Key_Delete),
    *(Qt.Key.Key_F, Qt.Key.Key_1, Qt.Key.Key_C, Qt.Key.Key_N, Qt.Key.Key_H, Qt.Key.Key_Backspace),
)
SIZES = ((640, 480), (1280, 720), (1000, 900), (320, 240))


class Watch:
    """What goes wrong while the monkey is at work.

    Attributes:
        problems: tracebacks, Qt's warnings and records of the log, one text each.
        done: actions that were made.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.done: list[str] = []

    def raised(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        self.problems.append("".join(traceback.format_exception(kind, error, trace)))

    def said(self, kind: QtMsgType, _context: Any, message: str) -> None:
        serious = kind in (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg)
        if serious and not message.startswith(QUIET):
            self.problems.append(f"Qt: {message}")

    def failed(self) -> None:
        """Note an exception that the action itself raised."""
        self.problems.append(traceback.format_exc())

    def check(self) -> None:
        assert not self.problems, (
            "\n".join(self.problems) + "\nafter: " + "; ".join(self.done[-12:])
        )


class _Errors(logging.Handler):
    """Takes what the log calls an error: an exception that was caught and reported."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.ERROR)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.problems.append(f"log of {record.name}: {self.format(record)}")


@contextmanager
def watched() -> Iterator[Watch]:
    """Catch what no one else catches; a file dialog answers with nothing."""
    watch = Watch()
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    sys.excepthook = watch.raised
    sys.unraisablehook = lambda raised: watch.raised(
        raised.exc_type, raised.exc_value or Exception(), raised.exc_traceback
    )
    threading.excepthook = lambda raised: watch.raised(
        raised.exc_type, raised.exc_value or Exception(), raised.exc_traceback
    )
    handler, errors = qInstallMessageHandler(watch.said), _Errors(watch)
    logging.getLogger("optlab").addHandler(errors)
    dialogs = {
        name: vars(QFileDialog)[name]
        for name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory")
    }
    for name in dialogs:
        empty: Any = "" if name == "getExistingDirectory" else ("", "")
        setattr(QFileDialog, name, staticmethod(lambda *_all, empty=empty, **_named: empty))
    try:
        yield watch
    finally:
        for name, real in dialogs.items():
            setattr(QFileDialog, name, real)
        logging.getLogger("optlab").removeHandler(errors)
        qInstallMessageHandler(handler)
        sys.excepthook, sys.unraisablehook, threading.excepthook = hooks


def settle(seconds: float = 0.0) -> None:
    """Let the event loop run, that of deletions included."""
    end = time.monotonic() + seconds
    while True:
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if time.monotonic() >= end:
            return
        time.sleep(0.005)


class Monkey(RuleBasedStateMachine):
    """Rules are what a user can do; each takes its choices as numbers, and they wrap around.

    What goes wrong is noted and not raised: a window cannot be brought into the same state again by
    the same actions, since runs and workers have their own time, so hypothesis could not repeat it.
    """

    watch: Watch
    runner = "thread"

    def __init__(self) -> None:
        super().__init__()
        self.window: MainWindow | None = None

    # --- opening and closing ----------------------------------------------------------------------

    @initialize()
    def open_window(self) -> None:
        experiment = load("iris-softmax").with_values({"budget.steps": 300})
        self.window = MainWindow(experiment, self.runner)  # type: ignore[arg-type]
        self.window.show()
        # A modal dialog has a loop of its own, in which no rule is at work.
        self._closer = QTimer(self.window)
        self._closer.setInterval(60)
        self._closer.timeout.connect(self._answer_modal)
        self._closer.start()
        self._modal_patience = 0
        settle(0.05)

    def teardown(self) -> None:
        if self.window is not None:
            for other in self._others():
                other.close()
            self.window.close_without_asking()
            self.window.deleteLater()
            self.window = None
            settle(0.05)
            gc.collect()
            settle()

    def _answer_modal(self) -> None:
        """Push a button of a modal dialog, another one each time, or leave it."""
        popup = QApplication.activePopupWidget()
        if popup is not None:
            popup.close()
        modal = QApplication.activeModalWidget()
        if modal is None:
            return
        self._modal_patience += 1
        buttons = [one for one in modal.findChildren(QAbstractButton) if _usable(one)]
        if buttons and self._modal_patience % 3:
            buttons[self._modal_patience % len(buttons)].click()
        else:
            modal.close()

    # --- what is there ----------------------------------------------------------------------------

    def _main(self) -> MainWindow:
        assert self.window is not None
        return self.window

    def _others(self) -> list[QWidget]:
        """Windows that are open besides the main window."""
        return [
            one
            for one in QApplication.topLevelWidgets()
            if one.isVisible() and one is not self.window and not isinstance(one, QMenu)
        ]

    def _find(self, kind: type[QWidget] | tuple[type[QWidget], ...]) -> list[Any]:
        """Usable widgets of all windows."""
        kinds = kind if isinstance(kind, tuple) else (kind,)
        return [
            widget
            for top in (self._main(), *self._others())
            for one in kinds
            for widget in top.findChildren(one)
            if _usable(widget)
        ]

    def _one(self, things: Sequence[Any], number: int) -> Any:
        """Choose one of them: hypothesis likes small numbers, and the first ones are not better."""
        return random.Random(1_000_003 * number + len(self.watch.done)).choice(things)

    def _note(self, what: str) -> None:
        self.watch.done.append(what)

    def _act(self, what: str, act: Callable[[], object]) -> None:
        if self.watch.problems:
            return
        self._note(what)
        try:
            act()
            settle()
        except Exception:  # noqa: BLE001 - noted with its traceback
            self.watch.failed()

    # --- rules ------------------------------------------------------------------------------------

    @rule(which=st.sampled_from(("start", "pause", "step", "stop")))
    def press(self, which: str) -> None:
        button = getattr(self._main().controls, f"{which}_button")
        if button.isEnabled():
            self._act(which, button.click)

    @rule(seconds=st.sampled_from((0.0, 0.05, 0.3)))
    def wait(self, seconds: float) -> None:
        self._act(f"wait {seconds}", lambda: settle(seconds))

    @rule(index=st.integers(0, 3))
    def pace(self, index: int) -> None:
        self._act(f"pace {index}", lambda: self._main().timeline.pace.setCurrentIndex(index))

    @rule(share=st.floats(0.0, 1.0))
    def rewind(self, share: float) -> None:
        track = self._main().timeline.track
        if track.isEnabled():
            value = round(track.minimum() + share * (track.maximum() - track.minimum()))
            self._act(f"rewind to {value}", lambda: track.setValue(value))

    @rule(which=st.sampled_from(("now", "explain", "fork")))
    def time_button(self, which: str) -> None:
        button = getattr(self._main().timeline, f"{which}_button")
        if button.isEnabled() and button.isVisible():
            self._act(which, button.click)

    @rule(kind=st.sampled_from(SECTIONS), number=st.integers(0, 200))
    def pick(self, kind: str, number: int) -> None:
        names = registry.names(kind)
        picker = self._main().experiment_panel.components[kind].picker
        index = picker.findData(self._one(names, number))
        if picker.isEnabled() and index >= 0:
            self._act(f"{kind} {picker.itemData(index)}", lambda: picker.setCurrentIndex(index))

    @rule(number=st.integers(0, 10_000), text=st.sampled_from(TEXTS))
    def type_text(self, number: int, text: str) -> None:
        fields = [one for one in self._find(QLineEdit) if not one.isReadOnly()]
        if fields:
            field = self._one(fields, number)

            def type_it() -> None:
                field.setFocus()
                field.selectAll()
                # QTest aborts at a character that no key has.
                QTest.keyClicks(field, text) if text.isascii() and text else field.insert(text)
                QTest.keyClick(field, Qt.Key.Key_Return)

            name = field.accessibleName() or field.objectName()
            self._act(f"type {text!r} into {name}", type_it)

    @rule(number=st.integers(0, 10_000), share=st.floats(0.0, 1.0))
    def slide(self, number: int, share: float) -> None:
        sliders = self._find(QAbstractSlider)
        if sliders:
            one = self._one(sliders, number)
            value = round(one.minimum() + share * (one.maximum() - one.minimum()))
            self._act(f"slide {one.accessibleName()} to {value}", lambda: one.setValue(value))

    @rule(number=st.integers(0, 10_000), choice=st.integers(0, 100))
    def choose(self, number: int, choice: int) -> None:
        boxes = [one for one in self._find(QComboBox) if one.count()]
        if boxes:
            one = self._one(boxes, number)
            index = choice % one.count()
            self._act(f"choose {one.itemText(index)}", lambda: one.setCurrentIndex(index))

    @rule(number=st.integers(0, 10_000))
    def click(self, number: int) -> None:
        buttons = [one for one in self._find(QAbstractButton) if _harmless(one.text())]
        if buttons:
            one = self._one(buttons, number)
            self._act(f"click {one.text() or one.accessibleName()}", one.click)

    @rule(number=st.integers(0, 10_000), row=st.integers(0, 100))
    def select(self, number: int, row: int) -> None:
        views = [one for one in self._find(QAbstractItemView) if one.model() is not None]
        views = [one for one in views if one.model().rowCount()]
        if views:
            one = self._one(views, number)
            index = one.model().index(row % one.model().rowCount(), 0)
            self._act(f"select row of {one.accessibleName()}", lambda: one.setCurrentIndex(index))

    @rule(number=st.integers(0, 10_000))
    def turn_tab(self, number: int) -> None:
        bars = [one for one in self._find(QTabBar) if one.count()]
        if bars:
            bar = self._one(bars, number)
            index = self._one(range(bar.count()), number)
            self._act(f"tab {bar.tabText(index)}", lambda: bar.setCurrentIndex(index))

    @rule(number=st.integers(0, 10_000))
    def trigger(self, number: int) -> None:
        actions = [one for one in _actions(self._main()) if one.isEnabled() and one.isVisible()]
        actions = [one for one in actions if _harmless(one.text())]
        one = self._one(actions, number)
        self._act(f"action {one.text()}", one.trigger)

    @rule(name=st.sampled_from(list(TITLES)), close=st.booleans())
    def place(self, name: str, close: bool) -> None:
        if close:
            self._act(f"close {name}", lambda: self._main().places.close_place(name))
        elif name in list(TITLES)[1:]:
            self._act(f"place {name}", lambda: self._main().secondary_windows.show_place(name))
        else:
            self._act(f"place {name}", lambda: self._main().places.show_place(name))

    @rule(key=st.sampled_from(KEYS), control=st.booleans(), to=st.integers(0, 5))
    def press_key(self, key: Qt.Key, control: bool, to: int) -> None:
        tops = [self._main(), *self._others()]
        top = tops[to % len(tops)]
        target = top.focusWidget() or top
        modifier = (
            Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier
        )
        self._act(f"key {key.name}", lambda: QTest.keyClick(target, key, modifier))

    @rule(name=st.sampled_from(("light", "dark", "system")))
    def recolor(self, name: Any) -> None:
        self._act(f"theme {name}", lambda: theme.choose(name))

    @rule(size=st.sampled_from(SIZES), number=st.integers(0, 5))
    def resize(self, size: tuple[int, int], number: int) -> None:
        tops = [self._main(), *self._others()]
        self._act(f"resize {size}", lambda: tops[number % len(tops)].resize(*size))

    @rule(number=st.integers(0, 5))
    def close_other(self, number: int) -> None:
        others = self._others()
        if others:
            one = others[number % len(others)]
            self._act(f"close {type(one).__name__}", one.close)

    # --- what holds -------------------------------------------------------------------------------

    @precondition(lambda self: not self.watch.problems)
    @invariant()
    def is_open(self) -> None:
        if self.window is not None and not self.window.isVisible():
            self.window.show()


def _usable(widget: QWidget) -> bool:
    return widget.isVisible() and widget.isEnabled()


def _harmless(text: str) -> bool:
    return not text.replace("&", "").lower().startswith(NOT_CLICKED)


def _actions(window: MainWindow) -> list[QAction]:
    """All actions of the menu bar, those of menus that are filled when they open included."""
    found: list[QAction] = []
    waiting = list(window.menuBar().actions())
    while waiting:
        action = waiting.pop()
        menu = action.menu()
        if isinstance(menu, QMenu):
            menu.aboutToShow.emit()
            waiting.extend(menu.actions())
        elif not action.isSeparator():
            found.append(action)
    return sorted(found, key=lambda one: one.text())


def held() -> dict[str, int]:
    """What a window must give back: threads, child processes, files, top-level widgets."""
    process = psutil.Process()
    children = [
        one
        for one in process.children(recursive=True)
        if not any("resource_tracker" in part for part in _command(one))
    ]
    return {
        "threads": sum(
            not isinstance(one, threading._DummyThread) for one in threading.enumerate()
        ),
        "processes": len(children),
        "files": process.num_fds(),
        "windows": len([one for one in QApplication.topLevelWidgets() if one.parent() is None]),
    }


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def work(actions: int, examples: int, seed: int, runner: str = "thread") -> None:
    """Make so many actions in so many windows, one after another.

    Raises:
        AssertionError: something raised, warned, or was left behind.
    """
    with watched() as watch:
        machine = type("Watched", (Monkey,), {"watch": watch, "runner": runner})
        profile = settings(
            max_examples=examples,
            stateful_step_count=max(1, actions // examples),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=seed == 0,
            print_blob=False,
        )
        if seed:
            from hypothesis import seed as seeded

            machine = seeded(seed)(machine)  # type: ignore[assignment]
        run_state_machine_as_test(machine, settings=profile)
        watch.check()


def test_that_nothing_raises_whatever_is_clicked_and_typed(qapp: QApplication) -> None:
    theme.follow(qapp)
    try:
        work(actions=60, examples=1, seed=0)
    finally:
        theme.choose("system")


def main(actions: int, seed: int) -> int:
    """Work until so many actions are made; say what is left behind after it."""
    from optlab.gui.app import create_application

    application = create_application(["optlab"])
    theme.follow(application)
    # What the first window of a process imports and opens stays.
    work(100, 1, seed, "auto")
    deadline = time.monotonic() + 30
    while (before := held())["threads"] > 1 and time.monotonic() < deadline:
        settle(0.2)
    print("at first", before, flush=True)
    begun, rounds = time.monotonic(), max(1, actions // 500)
    for number in range(rounds):
        work(500, 4, seed + number + 1, "auto")
        spent = round(time.monotonic() - begun)
        print(f"{(number + 1) * 500} actions", held(), spent, "s", flush=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        settle(0.2)
        gc.collect()
        after = held()
        left = {name: after[name] - before[name] for name in before if after[name] > before[name]}
        if not left or (set(left) == {"files"} and left["files"] <= 3):
            print("nothing is left behind", flush=True)
            return 0
    print("left behind:", left, [one.name for one in threading.enumerate()], flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(os.environ.get("MONKEY_SEED", "1"))))
