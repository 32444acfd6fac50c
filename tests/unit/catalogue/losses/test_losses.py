"""Losses against torch.nn.functional."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from optlab.catalogue.losses.base import most_probable, zero_one
from optlab.core import registry


def loss(name: str) -> Any:
    return registry.get("loss", name)()


def draw() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 3.0 * torch.randn(2, 6, 4, dtype=torch.float64, generator=generator), torch.randint(
        0, 4, (2, 6), generator=generator
    )


def test_that_cross_entropy_is_torchs_for_each_example() -> None:
    outputs, y = draw()
    ours = loss("cross_entropy").per_example(outputs, y)
    for run in range(2):
        torch.testing.assert_close(
            ours[run],
            functional.cross_entropy(outputs[run], y[run], reduction="none"),
            rtol=1e-13,
            atol=1e-14,
        )


def test_that_cross_entropy_of_huge_logits_is_finite_and_exact() -> None:
    outputs = torch.tensor([[[1e4, 0.0], [0.0, 1e4]]], dtype=torch.float64)
    assert loss("cross_entropy").per_example(outputs, torch.tensor([[1, 1]])).tolist() == [
        [1e4, 0.0]
    ]
    value, gradient = loss("cross_entropy").with_gradient(outputs.clone(), torch.tensor([[1, 1]]))
    assert value.tolist() == [5e3]
    assert gradient.tolist() == [[[0.5, -0.5], [0.0, 0.0]]]


def test_that_squared_error_is_the_squared_distance_from_target_or_one_hot_vector() -> None:
    outputs, y = draw()
    one_hot = functional.one_hot(y, 4).double()
    expected = functional.mse_loss(outputs, one_hot, reduction="none").sum(dim=2)
    torch.testing.assert_close(loss("squared_error").per_example(outputs, y), expected)
    torch.testing.assert_close(loss("squared_error").per_example(outputs, one_hot), expected)


@pytest.mark.parametrize("name", registry.names("loss"))
def test_that_the_written_out_gradient_is_that_of_autograd(name: str) -> None:
    outputs, y = draw()
    written = loss(name).with_gradient(outputs.clone(), y)
    assert written is not None
    leaf = outputs.clone().requires_grad_()
    value = loss(name).per_example(leaf, y).mean(dim=1)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    torch.testing.assert_close(written[0], value.detach(), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(written[1], gradient, rtol=1e-12, atol=1e-14)


def test_that_the_zero_one_loss_counts_wrong_classes() -> None:
    outputs = torch.tensor([[[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]]])
    assert zero_one(outputs, torch.tensor([[1, 1, 1]])).tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_that_the_most_probable_class_is_the_first_of_equals(dtype: torch.dtype) -> None:
    outputs = torch.randint(-2, 3, (7, 50, 6), generator=torch.Generator().manual_seed(0)).to(dtype)
    outputs[0, :5, 3] = torch.nan
    outputs[1, :5, 1:3] = torch.inf
    outputs[2, :5] = -torch.inf
    for given in (outputs, outputs.transpose(1, 2).contiguous().transpose(1, 2)):
        assert torch.equal(most_probable(given), given.argmax(dim=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_that_probabilities_without_a_normal_number_are_zero_in_the_gradient_of_many(
    dtype: torch.dtype,
) -> None:
    """All others have the bits that they have for few examples."""
    outputs = torch.randn(1, 600, 10, generator=torch.Generator().manual_seed(0), dtype=dtype)
    outputs *= 80.0 if dtype == torch.float32 else 700.0
    y = torch.randint(10, (1, 600), generator=torch.Generator().manual_seed(1))
    p = torch.log_softmax(outputs, dim=2).exp()
    wrong = torch.ones_like(p, dtype=torch.bool).scatter_(2, y.unsqueeze(2), value=False)
    tiny = torch.finfo(dtype).tiny
    none, some = wrong & (p < 1.9 * tiny), wrong & (p > 1e5 * tiny)
    assert 0.01 < none.double().mean() < 0.99
    _, gradient = loss("cross_entropy").with_gradient(outputs, y)
    few = [
        loss("cross_entropy").with_gradient(outputs[:, i : i + 20], y[:, i : i + 20])[1]
        for i in range(0, 600, 20)
    ]
    alone = torch.cat(few, dim=1) / 30
    torch.testing.assert_close(gradient[some], alone[some], rtol=4e-7, atol=0.0)
    torch.testing.assert_close(gradient[~wrong], alone[~wrong], rtol=4e-7, atol=0.0)
    assert (gradient[none] == 0.0).all()
    assert (alone[none] > 0.0).any(), "few examples keep them"
