"""Weighted cross-entropy against torch, and how its weights are found and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from optlab.catalogue.losses.weighted_cross_entropy import WeightedCrossEntropy
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.tasks.own_data import balanced_loss

WEIGHTS = [0.5, 4.0, 1.0, 2.5]


def test_that_an_example_has_the_loss_of_torch_and_the_gradient_of_autograd() -> None:
    loss = WeightedCrossEntropy.build({"class_weights": WEIGHTS}, "loss")
    generator = torch.Generator().manual_seed(0)
    outputs = 3.0 * torch.randn(2, 6, 4, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 4, (2, 6), generator=generator)
    leaf = outputs.clone().requires_grad_()
    expected = torch.stack(
        [
            functional.cross_entropy(
                leaf[run], y[run], torch.tensor(WEIGHTS, dtype=torch.float64), reduction="none"
            )
            for run in range(2)
        ]
    )
    torch.testing.assert_close(loss.per_example(outputs, y), expected.detach(), rtol=1e-13, atol=0)
    (gradient,) = torch.autograd.grad(expected.mean(dim=1).sum(), leaf)
    mean, written = loss.with_gradient(outputs, y)
    torch.testing.assert_close(mean, expected.mean(dim=1).detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(written, gradient, rtol=1e-12, atol=1e-15)
    run: dict[str, Any] = {
        "F": functional,
        "torch": torch,
        "outputs": outputs[0].float(),
        "y": y[0],
    }
    said = eval(loss.written("classes"), run)  # noqa: S307
    torch.testing.assert_close(said, expected[0].detach().float())


def test_that_the_number_of_weights_is_that_of_the_classes() -> None:
    with pytest.raises(InvalidInput, match="has 2 weights, but there are 3 classes") as refused:
        Experiment.from_dict(
            {
                "dataset": {"name": "iris"},
                "model": {"name": "linear"},
                "loss": {"name": "weighted_cross_entropy", "class_weights": [1.0, 2.0]},
            }
        )
    assert refused.value.field == "loss.class_weights"
    with pytest.raises(InvalidInput, match="must be a list of positive numbers"):
        WeightedCrossEntropy.build({"class_weights": [1.0, -2.0]}, "loss")


def test_that_balanced_weights_make_the_classes_of_the_training_part_count_the_same() -> None:
    dataset = registry.build("dataset", {"name": "breast_cancer"})
    section = balanced_loss(dataset)  # type: ignore[arg-type]
    counts = np.bincount(dataset.load().training.y)  # type: ignore[attr-defined]
    assert section["name"] == "weighted_cross_entropy"
    np.testing.assert_allclose(section["class_weights"] * counts, sum(counts) / 2, rtol=1e-5)
    with pytest.raises(InvalidInput, match="need classes"):
        balanced_loss(registry.build("dataset", {"name": "diabetes"}))  # type: ignore[arg-type]
