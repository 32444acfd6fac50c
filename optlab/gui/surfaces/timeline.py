"""The timeline: which step of a race is looked at; played, dragged or stepped."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QStyle, QToolButton, QWidget

_FRAME_MILLISECONDS = 40
_PLAY_SECONDS = 6.0
"""How long a race takes from start to end, however many steps it has."""


class Timeline(QWidget):
    """A slider over the steps with buttons.

    Signals: ``stepChanged(int)``: this many steps are shown now.
    """

    stepChanged = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        style = self.style()
        self.play_button = self._button(
            style.standardIcon(QStyle.StandardPixmap.SP_MediaPlay),
            "Play from here, or hold (Space)",
        )
        self.back_button = self._button(
            style.standardIcon(QStyle.StandardPixmap.SP_MediaSeekBackward), "One step back (Left)"
        )
        self.forward_button = self._button(
            style.standardIcon(QStyle.StandardPixmap.SP_MediaSeekForward),
            "One step forward (Right)",
        )
        self.play_button.setShortcut("Space")
        self.back_button.setShortcut("Left")
        self.forward_button.setShortcut("Right")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Step")
        self.slider.setRange(0, 0)
        self.words = QLabel("")
        self.words.setMinimumWidth(self.fontMetrics().horizontalAdvance("step 00,000 of 00,000"))
        self.words.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.play_button, self.back_button, self.forward_button):
            layout.addWidget(widget)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.words)
        self._at = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(_FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._advance)
        self.play_button.clicked.connect(self._play_clicked)
        self.back_button.clicked.connect(lambda: self.go(self.slider.value() - 1))
        self.forward_button.clicked.connect(lambda: self.go(self.slider.value() + 1))
        self.slider.valueChanged.connect(self._moved)
        self._moved(0)

    @property
    def playing(self) -> bool:
        """Whether it moves by itself."""
        return self._timer.isActive()

    @property
    def step(self) -> int:
        """Number of steps that are shown."""
        return self.slider.value()

    def set_steps(self, steps: int) -> None:
        """A race of so many steps: its end is shown, unless it is being played."""
        self.slider.setRange(0, steps)
        self.slider.setPageStep(max(1, steps // 20))
        if not self.playing:
            self.go(steps)
        self._moved(self.slider.value())

    def play(self) -> None:
        """Begin anew and let it go."""
        self.go(0)
        self._start()

    def hold(self) -> None:
        """Stay where it is."""
        self._timer.stop()
        self.play_button.setIcon(self.style().standardIcon(QStyle.StandardPixmap.SP_MediaPlay))

    def go(self, step: int) -> None:
        """Show a step, by hand: what was played holds."""
        self.hold()
        self.slider.setValue(step)

    def _start(self) -> None:
        self._at = float(self.slider.value())
        self.play_button.setIcon(self.style().standardIcon(QStyle.StandardPixmap.SP_MediaPause))
        self._timer.start()

    def _play_clicked(self) -> None:
        if self.playing:
            self.hold()
        else:
            if self.slider.value() == self.slider.maximum():
                self.slider.setValue(0)
            self._start()

    def _advance(self) -> None:
        self._at += max(self.slider.maximum() * _FRAME_MILLISECONDS / 1000.0 / _PLAY_SECONDS, 0.1)
        self.slider.setValue(int(self._at))
        if self._at >= self.slider.maximum():
            self.hold()

    def _moved(self, step: int) -> None:
        self.words.setText(f"step {step:,} of {self.slider.maximum():,}")
        self.back_button.setEnabled(step > 0)
        self.forward_button.setEnabled(step < self.slider.maximum())
        self.play_button.setEnabled(self.slider.maximum() > 0)
        self.stepChanged.emit(step)

    def _button(self, icon: object, words: str) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon)  # type: ignore[arg-type]
        button.setToolTip(words)
        button.setAccessibleName(words.partition(" (")[0])
        return button
