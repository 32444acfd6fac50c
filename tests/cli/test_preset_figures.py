"""The figures that a preset tells the user to watch are in the summary of its run."""

from __future__ import annotations

import math
import re

import pytest

from optlab.catalogue.measures.base import Measure
from optlab.cli.app import main
from optlab.core import paths, registry
from optlab.experiment import Experiment, presets
from optlab.training.control import Inbox
from optlab.training.events import RunEnded
from optlab.training.final_results import ALWAYS
from optlab.training.session import session

NAMES = [path.stem for path in presets.files()]
PHRASES = {
    # What a description says → figures of which one has to be watched.
    r"validation error": {"validation_error"},
    r"training loss|the loss": {"train_loss"},
    r"validation loss": {"validation_loss"},
    r"training error": {"train_error"},
    r"gradient norm|full gradient": {"gradient_norm"},
    r"weight norm|the weights grow": {"weight_norm"},
    r"\bmargin\b": {"margin"},
    r"\brisk\b": {"risk_loss"},
    r"\bgap\b|stay within .* of each other": {"risk_gap"},
    r"of the average": {"averaged_train_loss"},
    r"log-likelihood|squared error": {"train_loss"},
    r"no step is longer": {"clipped_share"},
}


@pytest.mark.parametrize("name", NAMES)
def test_that_a_preset_names_the_figures_that_its_description_speaks_of(name: str) -> None:
    preset = presets.read(paths.presets() / f"{name}.toml")
    assert preset.watch and "Watch" not in preset.see + preset.sentence
    known = {*ALWAYS, *(measure.name for measure in registry.components(Measure))}
    assert set(preset.watch) <= known
    # Figures that belong to a run with another setting are not of this one.
    for phrase, figures in PHRASES.items():
        if re.search(phrase, preset.see):
            assert figures & set(preset.watch), f"{name}: {phrase}"


@pytest.mark.parametrize("name", NAMES)
def test_that_the_figures_to_watch_are_known_at_the_end_of_a_run(name: str) -> None:
    preset = presets.read(paths.presets() / f"{name}.toml")
    experiment = Experiment.load(preset.path).with_values(
        {
            "budget.steps": "2",
            **({"pretraining.name": "none"} if "pretrained" in name else {}),
        }
    )
    (ended,) = (event for event in session([experiment], Inbox()) if isinstance(event, RunEnded))
    for figure in preset.watch:
        value = ended.final.get(figure)
        assert value is not None and math.isfinite(value), figure


def test_that_the_summary_on_the_command_line_has_what_separable_says_to_watch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "separable", "--steps", "20", "--no-store"]) == 0
    said = capsys.readouterr().out
    assert "weight norm" in said and "training margin" in said and "0-1 error" in said
    assert main(["show", "separable", "--json"]) == 0
    assert '"watch"' in capsys.readouterr().out
