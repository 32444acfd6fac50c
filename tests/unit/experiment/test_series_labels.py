"""Series have the words of their measures; what a watched loop logged keeps its name."""

from __future__ import annotations

import pytest

from optlab.core import registry
from optlab.experiment.series_labels import series_label, watched_label


def test_that_a_series_has_the_label_of_its_measure() -> None:
    for measure in registry.components("measure"):
        assert series_label(measure.name) == measure.label
    assert series_label("activations.dead · layer 2") == "Activations by layer: dead · layer 2"
    assert series_label("batch_order") == "Batch order"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("gradient_norm", "Gradient norm"),
        ("applied_gradient_norm", "Gradient norm after clipping"),
        ("update_ratio_by_tensor", "Update norm over weight norm by tensor"),
        ("update_ratio_by_tensor/critic", "Update norm over weight norm by tensor (critic)"),
        ("lr/generator", "Learning rate (generator)"),
        # Names that the loop gave.
        ("lr_head", "lr_head"),
        ("val", "val"),
        ("train/loss", "train/loss"),
    ],
)
def test_that_what_watch_records_has_words_and_what_a_loop_logs_keeps_its_name(
    name: str, label: str
) -> None:
    assert watched_label(name) == label
