"""The timeline: selects the step of a race that is shown, by playing, dragging or stepping."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QToolButton, QWidget

from optlab.gui.plain_text import PlainLabel
from optlab.gui.surfaces.media_icons import media_icon

_FRAME_MILLISECONDS = 40
_PLAY_SECONDS = 6.0
"""Duration of a race from start to end, however many steps it has."""


class Timeline(QWidget):
    """A slider over the steps with buttons.

    Signals: ``stepChanged(int)``: this step is shown now.
    """

    stepChanged = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.play_button = self._button("Play or pause (Space)")
        self.back_button = self._button("One step back (Left)")
        self.forward_button = self._button("One step forward (Right)")
        self.play_button.setShortcut("Space")
        self.back_button.setShortcut("Left")
        self.forward_button.setShortcut("Right")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Step")
        self.slider.setRange(0, 0)
        self.label = PlainLabel("")
        self.label.setMinimumWidth(self.fontMetrics().horizontalAdvance("step 00,000 of 00,000"))
        self.label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.play_button, self.back_button, self.forward_button):
            layout.addWidget(widget)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.label)
        self._position = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(_FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._advance)
        self.play_button.clicked.connect(self._play_clicked)
        self.back_button.clicked.connect(lambda: self.show_step(self.slider.value() - 1))
        self.forward_button.clicked.connect(lambda: self.show_step(self.slider.value() + 1))
        self.slider.valueChanged.connect(self._step_changed)
        self._set_icons()
        self._step_changed(0)

    @property
    def playing(self) -> bool:
        """Whether the race is playing."""
        return self._timer.isActive()

    @property
    def step(self) -> int:
        """The step that is shown."""
        return self.slider.value()

    def set_steps(self, steps: int) -> None:
        """Set the number of steps; show the last one, unless a race is playing."""
        self.slider.setRange(0, steps)
        self.slider.setPageStep(max(1, steps // 20))
        if not self.playing:
            self.show_step(steps)
        self._step_changed(self.slider.value())

    def play(self) -> None:
        """Play from step 0."""
        self.show_step(0)
        self._start()

    def pause(self) -> None:
        """Pause at the current step."""
        self._timer.stop()
        self._set_icons()

    def show_step(self, step: int) -> None:
        """Show a step and pause."""
        self.pause()
        self.slider.setValue(step)

    def _start(self) -> None:
        self._position = float(self.slider.value())
        self._timer.start()
        self._set_icons()

    def _play_clicked(self) -> None:
        if self.playing:
            self.pause()
        else:
            if self.slider.value() == self.slider.maximum():
                self.slider.setValue(0)
            self._start()

    def _advance(self) -> None:
        self._position += max(
            self.slider.maximum() * _FRAME_MILLISECONDS / 1000.0 / _PLAY_SECONDS, 0.1
        )
        self.slider.setValue(int(self._position))
        if self._position >= self.slider.maximum():
            self.pause()

    def _step_changed(self, step: int) -> None:
        self.label.setText(f"step {step:,} of {self.slider.maximum():,}")
        self.back_button.setEnabled(step > 0)
        self.forward_button.setEnabled(step < self.slider.maximum())
        self.play_button.setEnabled(self.slider.maximum() > 0)
        self.stepChanged.emit(step)

    def _set_icons(self) -> None:
        palette = self.palette()
        self.play_button.setIcon(media_icon("pause" if self.playing else "play", palette))
        self.back_button.setIcon(media_icon("back", palette))
        self.forward_button.setIcon(media_icon("forward", palette))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_timer"):
            self._set_icons()

    def _button(self, tip: str) -> QToolButton:
        button = QToolButton()
        button.setToolTip(tip)
        button.setAccessibleName(tip.partition(" (")[0])
        return button
