"""The presets of AdamW and Muon show what they say."""

from __future__ import annotations

from optlab.core import paths
from optlab.experiment import Experiment, presets
from optlab.training.trainer import Trainer


def trained(experiment: Experiment) -> tuple[Trainer, dict[str, float]]:
    trainer = Trainer([experiment])
    for _ in range(experiment.budget.steps):
        trainer.advance()
    return trainer, {name: float(value[0]) for name, value in trainer.evaluate().items()}


def preset(name: str) -> Experiment:
    assert "below 5%" in presets.about(paths.presets() / f"{name}.toml")[1]
    return Experiment.load(paths.presets() / f"{name}.toml")


def test_that_adamw_digits_comes_below_5_percent_and_its_decay_keeps_weights_and_validation_loss_small() -> (
    None
):
    asked = preset("adamw-digits")
    trainer, final = trained(asked)
    free, without = trained(asked.with_value("optimizer.weight_decay", 0.0))
    assert final["validation_error"] < 0.05
    assert float(free.theta.norm()) > 1.5 * float(trainer.theta.norm())
    assert without["validation_loss"] > 1.2 * final["validation_loss"]
    assert without["train_loss"] < final["train_loss"]


def test_that_muon_digits_comes_below_5_percent_within_300_steps() -> None:
    asked = preset("muon-digits")
    assert asked.budget.steps == 300
    assert trained(asked)[1]["validation_error"] < 0.05
