"""Models: their tensors, their traces, and runs that do not touch each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optlab.catalogue.models.base import ForwardContext
from optlab.core import registry
from optlab.core.data import DataShape

SHAPE = DataShape((4,), 3, "classes")


def mlp(**values: Any) -> Any:
    return registry.build("model", {"name": "mlp", **values})


def test_that_the_tensors_of_a_network_are_named_and_shaped_as_torch_has_them() -> None:
    tensors = mlp(hidden=[6, 5]).layout(SHAPE).parameters
    torchs = torch.nn.ModuleDict(
        {
            "layers": torch.nn.ModuleList(
                [torch.nn.Linear(4, 6), torch.nn.Linear(6, 5), torch.nn.Linear(5, 3)]
            )
        }
    )
    assert [(t.name, t.shape) for t in tensors] == [
        (name, tuple(p.shape)) for name, p in torchs.named_parameters()
    ]
    assert [(t.fan_in, t.fan_out, t.output) for t in tensors[::2]] == [
        (4, 6, False),
        (6, 5, False),
        (5, 3, True),
    ]
    assert [t.role for t in tensors] == ["weight", "bias"] * 3


def test_that_a_network_without_hidden_layers_is_the_linear_model() -> None:
    linear: Any = registry.build("model", {"name": "linear"})
    assert linear.layout(SHAPE) == mlp(hidden=[]).layout(SHAPE)
    theta = torch.randn(2, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = linear.layout(SHAPE).split(theta)
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    assert torch.equal(
        linear.forward(parts, x, ForwardContext()),
        mlp(hidden=[]).forward(parts, x, ForwardContext()),
    )


def test_that_images_are_flattened() -> None:
    shape = DataShape((2, 2), 3, "classes")
    model = mlp(hidden=[6])
    theta = torch.randn(1, model.layout(shape).total, generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 5, 2, 2)
    parts = model.layout(shape).split(theta)
    assert torch.equal(
        model.forward(parts, x, ForwardContext()),
        model.forward(parts, x.flatten(2), ForwardContext()),
    )


def test_that_a_trace_sees_every_intermediate_result_in_order() -> None:
    model = mlp(hidden=[6, 5], activation="tanh")
    traced: list[tuple[str, tuple[int, ...]]] = []
    theta = torch.randn(2, model.layout(SHAPE).total, generator=torch.Generator().manual_seed(0))
    model.forward(
        model.layout(SHAPE).split(theta),
        torch.randn(2, 7, 4),
        ForwardContext(trace=lambda name, value: traced.append((name, tuple(value.shape)))),
    )
    names = ["layers.0", "layers.0.tanh", "layers.1", "layers.1.tanh", "layers.2"]
    assert traced == [
        (name, (2, 7, width)) for name, width in zip(names, [6, 6, 5, 5, 3], strict=True)
    ]


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "softplus", "gelu", "identity"])
def test_that_no_run_depends_on_another(activation: str) -> None:
    model = mlp(hidden=[6], activation=activation)
    theta = torch.randn(
        3,
        model.layout(SHAPE).total,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
    )
    x = torch.randn(3, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    split = model.layout(SHAPE).split
    together = model.forward(split(theta), x, ForwardContext())
    for run in range(3):
        alone = model.forward(split(theta[run : run + 1]), x[run : run + 1], ForwardContext())
        torch.testing.assert_close(together[run], alone[0], rtol=1e-13, atol=1e-13)
