"""The guided run: a real run of two minutes, and sentences that appear as things happen in it.

Numbers in the sentences are those of the run. Nothing is covered or blocked meanwhile: what is shown
can be tried at once, and the guide can be left at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from optlab.core import paths
from optlab.experiment import Experiment
from optlab.training import events

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow

PRESET = "digits-mlp"
STEPS = 1200
STEPS_PER_SECOND = 10.0
"""Together two minutes."""
RAISED = 12.0
"""Factor by which the learning rate is raised on the way."""
_MEAN_OVER = 50
"""Steps over which losses are averaged, so that the sentences tell no chance of one batch."""


@dataclass
class Facts:
    """What is known of the run.

    Attributes:
        parameters: number of parameters. rate: learning rate at the start.
        losses: of the batches so far, by step. error: of the last evaluation, None before it.
    """

    parameters: int = 0
    rate: float = 0.0
    losses: dict[int, float] = field(default_factory=dict)
    error: float | None = None

    def mean_loss(self, until: int) -> float:
        """Return the mean loss of the batches in the last steps up to one."""
        recent = [v for step, v in self.losses.items() if until - _MEAN_OVER < step <= until]
        return sum(recent) / len(recent) if recent else float("nan")


@dataclass(frozen=True)
class Scene:
    """A moment of the run.

    Attributes:
        step: when it is reached. words: what is said. rate: factor on the first learning rate from
            here on; None to leave it as it is.
    """

    step: int
    words: Callable[[Facts], str]
    rate: float | None = None


def _after_raise(facts: Facts) -> str:
    before, now = facts.mean_loss(300), facts.mean_loss(420)
    if now > before:
        return (
            f"The mean loss went from {before:.3g} to {now:.3g}: steps of this length leap from one "
            "side of the valley to the other instead of down into it."
        )
    return (
        f"The mean loss went from {before:.3g} to {now:.3g}: this network tolerates even "
        "steps this long. Try a higher rate yourself; there is always one that is too high."
    )


def _errors(facts: Facts) -> str:
    if facts.error is None:
        return "Now and then the network is tested on digits that it is not trained on."
    return (
        "Once in every pass through the data the network is tested on digits that it is not trained "
        f"on. It now gets {facts.error:.1%} wrong."
    )


SCENES = (
    Scene(
        0,
        lambda facts: (
            f"This is a real run. A network of {facts.parameters:,} numbers learns to read "
            "handwritten digits, ten steps a second. The curve is the loss: how wrong it is."
        ),
    ),
    Scene(
        120,
        lambda facts: (
            f"The mean loss was {facts.mean_loss(_MEAN_OVER):.3g} in the first steps and is "
            f"{facts.mean_loss(120):.3g} now. Each step moves all numbers against the gradient; how "
            "far, the learning rate ε decides. It is the first number of the editor."
        ),
    ),
    Scene(
        300,
        lambda facts: (
            f"Now ε is raised from {facts.rate:g} to {facts.rate * RAISED:g}, while the run goes "
            "on. Watch the loss; the plots mark the step."
        ),
        RAISED,
    ),
    Scene(420, _after_raise),
    Scene(
        520,
        lambda facts: f"ε is {facts.rate:g} again. You can move its slider yourself at any time.",
        1.0,
    ),
    Scene(700, _errors),
    Scene(
        860,
        lambda _facts: (
            "Below the plots is the timeline. Drag its handle to look at an earlier step; Fork… "
            "begins another run from there, with your changes, and keeps this one."
        ),
    ),
    Scene(
        1020,
        lambda _facts: (
            "Every step is stored as it happens. The panel at the left lists all runs, and "
            "Ctrl+Shift+P finds everything else by a few letters."
        ),
    ),
)


class GuidedRun(QObject):
    """Begins the run, and says the scenes in the banner.

    Args:
        window: the main window.

    Signals: ``ended()``: it is over, or the user has left.
    """

    ended = Signal()

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._facts = Facts()
        self._left: list[Scene] = []
        self.active = False
        bridge = window.bridge
        bridge.on(events.SessionStarted, self._started)
        bridge.on(events.SeriesBlock, self._take)
        bridge.on(events.RunEnded, self._run_ended)
        bridge.on(events.SessionFailed, lambda _failed: self.leave())
        bridge.sessionEnded.connect(self._lost)

    def begin(self) -> None:
        """Open the experiment and start it, unless the user keeps edits or a run is in progress."""
        window = self._window
        if window.bridge.active:
            window.banner.show_sentence("A run is in progress. Stop it before the guided run.")
            return
        preset = paths.presets() / f"{PRESET}.toml"
        if not window.files.show(
            lambda: Experiment.load(preset).with_values({"budget.steps": STEPS})
        ):
            return
        self._facts, self._left = Facts(), list(SCENES)
        self.active = True
        self._pace = window.timeline.steps_per_second
        window.timeline.set_pace(STEPS_PER_SECOND)
        window.start()

    def leave(self) -> None:
        """Say nothing more; the run goes on as any other."""
        if self.active:
            self.active = False
            self._left = []
            self._window.timeline.set_pace(self._pace)
            self.ended.emit()

    def _lost(self) -> None:
        """Leave the run when it continues in the background: the next one is the user's own."""
        if self.active:
            self.leave()
            self._window.banner.hide()

    def _started(self, started: events.SessionStarted) -> None:
        if not self.active:
            return
        self._facts.parameters = started.parameters
        experiment = self._window.experiment_panel.experiment(check=False)
        self._facts.rate = float(getattr(experiment.optimizer, "lr", 0.0))
        self._say_until(0)

    def _take(self, block: events.SeriesBlock) -> None:
        if not self.active:
            return
        for name, series in block.series.items():
            if name == "batch_loss":
                pairs = zip(series.steps.tolist(), series.values[:, 0].tolist(), strict=True)
                self._facts.losses |= dict(pairs)
            elif name == "validation_error":
                self._facts.error = float(series.values[-1, 0])
        self._say_until(block.step)

    def _say_until(self, step: int) -> None:
        while self._left and self._left[0].step <= step:
            scene = self._left.pop(0)
            if scene.rate is not None:
                editor = self._window.experiment_panel.form.editors()["optimizer.lr"]
                editor.type_text(f"{self._facts.rate * scene.rate:g}")
            self._show(scene.words(self._facts))

    def _show(self, sentence: str) -> None:
        self._window.banner.show_sentence(sentence, {"Leave the guided run": self.leave})

    def _run_ended(self, ended: events.RunEnded) -> None:
        if not self.active:
            return
        wrong = "" if self._facts.error is None else f" It gets {self._facts.error:.1%} wrong."
        if ended.status == "diverged":
            wrong = f" It diverged: {ended.reason}."
        self.leave()
        self._window.banner.show_sentence(
            f"That was the run: {ended.steps:,} steps.{wrong} Change something in the editor and "
            "press Start; First steps… in the Help menu has the other doors."
        )
