"""Step decay: the rate drops by a factor at regular steps."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.schedules.base import Schedule
from optlab.core.fields import real, whole


class StepDecay(Schedule):
    """The rate is multiplied by a factor every so many steps.

    Each plateau lets the loss settle at the noise of its rate; the drops then show as sudden falls of the loss.
    """

    name: ClassVar[str] = "step_decay"
    label: ClassVar[str] = "Step decay"
    place: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (r"\epsilon_k = \gamma^{\lfloor k/s \rfloor}\, \epsilon_0",)
    symbols: ClassVar[dict[str, str]] = {"ε₀": "the optimizer's learning rate", "k": "step"}
    source: ClassVar[str] = "Common practice; beyond the notes."
    differs: ClassVar[str] = "torch.optim.lr_scheduler.StepLR(step_size=s, gamma=γ)."

    every: int = whole(500, "Every", symbol="s", unit="steps", least=1, log=True, slider=(10, 100_000), help="Steps between two drops.")
    factor: float = real(0.3, "Factor", symbol="γ", above=0.0, most=1.0, slider=(0.01, 1.0), help="What remains of the rate at each drop.")

    @property
    def sum_diverges(self) -> bool:
        return self.factor == 1.0

    @property
    def squares_converge(self) -> bool:
        return self.factor < 1.0

    def rate(self, lr: float, step: int) -> float:
        return lr * self.factor ** (step // self.every)
