"""Models of images, sequences and products of matrices: each against torch's own modules in
float64, alone and in a population.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from optlab.catalogue.initializers.base import Start
from optlab.catalogue.models.base import ForwardContext
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.objective.objective import Objective

RUNS, BATCH = 3, 5
DRAWN = [one.name for one in registry.components(Start) if not one.from_constructor]
"""The initializers that draw; the others need a model with a constructor."""
SEQUENCE = DataShape((6, 4), 3, "classes")
Named = Mapping[str, torch.Tensor]
BatchObjective = Callable[[Named, torch.Tensor], torch.Tensor]
"""Parameters of one run by name, and inputs ``[m, *inputs]`` → outputs ``[m, outputs]``."""


def product_of_matrices(named: Named, x: torch.Tensor) -> torch.Tensor:
    return (
        x.flatten(1)
        @ torch.linalg.multi_dot([named[f"layers.{number}.weight"] for number in (3, 2, 1, 0)]).T
    )


def pooled(h: torch.Tensor) -> torch.Tensor:
    """Means over windows of two by two, those at the edge over what is there, one window at a time."""
    height, width = h.shape[2:]
    rows = [
        torch.stack([h[:, :, i : i + 2, j : j + 2].mean((2, 3)) for j in range(0, width, 2)], 2)
        for i in range(0, height, 2)
    ]
    return torch.stack(rows, 2)


def convolutions(named: Named, x: torch.Tensor) -> torch.Tensor:
    h = x if x.dim() == 4 else x[:, None]
    for number in range(2):
        weight, bias = named[f"convolutions.{number}.weight"], named[f"convolutions.{number}.bias"]
        side = weight.shape[-1]
        patches = nn.functional.unfold(h, side, padding=side // 2)
        z = weight.flatten(1) @ patches + bias[:, None]
        h = z.view(len(x), len(bias), *h.shape[2:]).tanh()
        h = pooled(h) if min(h.shape[2:]) > 1 else h  # a line of pixels is not halved any more
    return h.flatten(1) @ named["output.weight"].T + named["output.bias"]


def recurrent(nonlinearity: str) -> BatchObjective:
    def outputs(named: Named, x: torch.Tensor) -> torch.Tensor:
        module = nn.RNN(4, 7, nonlinearity=nonlinearity, batch_first=True, dtype=torch.float64)
        cells = {
            "weight_ih_l0": named["input.weight"],
            "weight_hh_l0": named["recurrent.weight"],
            "bias_ih_l0": named["recurrent.bias"],
            "bias_hh_l0": torch.zeros(7, dtype=torch.float64),
        }
        h, _ = torch.func.functional_call(module, cells, (x,))
        return h[:, -1] @ named["output.weight"].T + named["output.bias"]

    return outputs


def long_short_term_memory(named: Named, x: torch.Tensor) -> torch.Tensor:
    module = nn.LSTM(4, 7, batch_first=True, dtype=torch.float64)
    biases = torch.cat(
        [named[f"{name}.bias"] for name in ("input_gate", "forget_gate", "cell", "output_gate")]
    )
    cells = {
        "weight_ih_l0": named["input.weight"],
        "weight_hh_l0": named["recurrent.weight"],
        "bias_ih_l0": biases - 0.3,
        "bias_hh_l0": torch.full((28,), 0.3, dtype=torch.float64),
    }
    h, _ = torch.func.functional_call(module, cells, (x,))
    return h[:, -1] @ named["output.weight"].T + named["output.bias"]


def encoder(named: Named, x: torch.Tensor) -> torch.Tensor:
    layer = nn.TransformerEncoderLayer(
        8, 2, 10, dropout=0.0, batch_first=True, norm_first=True, dtype=torch.float64
    )
    module = nn.TransformerEncoder(
        layer, 2, norm=nn.LayerNorm(8, dtype=torch.float64), enable_nested_tensor=False
    )
    names = {
        "norm1": "norm1",
        "self_attn.out_proj": "mixing",
        "norm2": "norm2",
        "linear1": "hidden",
        "linear2": "back",
    }
    values = {f"norm.{part}": named[f"norm.{part}"] for part in ("weight", "bias")}
    for number in range(2):
        for part in ("weight", "bias"):
            values[f"layers.{number}.self_attn.in_proj_{part}"] = named[
                f"blocks.{number}.attention.{part}"
            ]
            values |= {
                f"layers.{number}.{theirs}.{part}": named[f"blocks.{number}.{ours}.{part}"]
                for theirs, ours in names.items()
            }
    assert set(values) == set(module.state_dict())
    h = x @ named["embedding.weight"].T + named["embedding.bias"] + named["positions.weight"]
    h = torch.func.functional_call(module, values, (h,))
    return h.mean(dim=1) @ named["output.weight"].T + named["output.bias"]


CASES: dict[str, tuple[dict[str, Any], DataShape, BatchObjective]] = {
    "deep_linear": (
        {"name": "deep_linear", "depth": 4, "width": 6},
        DataShape((2, 3), 3, "classes"),
        product_of_matrices,
    ),
    "cnn": (
        {"name": "cnn", "channels": [3, 4], "activation": "tanh"},
        DataShape((8, 8), 3, "classes"),
        convolutions,
    ),
    "cnn-planes": (
        {"name": "cnn", "channels": [3, 4], "kernel": 5, "activation": "tanh"},
        DataShape((2, 5, 6), 3, "classes"),
        convolutions,
    ),
    "cnn-thin": (
        {"name": "cnn", "channels": [3, 4], "activation": "tanh"},
        DataShape((2, 8), 3, "classes"),
        convolutions,
    ),
    "rnn-tanh": ({"name": "rnn", "units": 7}, SEQUENCE, recurrent("tanh")),
    "rnn-relu": ({"name": "rnn", "units": 7, "activation": "relu"}, SEQUENCE, recurrent("relu")),
    "lstm": ({"name": "lstm", "units": 7}, SEQUENCE, long_short_term_memory),
    "transformer": (
        {"name": "transformer", "width": 8, "heads": 2, "hidden": 10},
        SEQUENCE,
        encoder,
    ),
}


@pytest.fixture(params=CASES)
def case(
    request: pytest.FixtureRequest,
) -> tuple[Any, DataShape, BatchObjective, torch.Tensor, torch.Tensor]:
    """Return model, shape, reference, parameters ``[R, P]``, inputs ``[R, m, *inputs]``."""
    values, shape, batch_objective = CASES[request.param]
    model: Any = registry.build("model", values)
    generator = torch.Generator().manual_seed(3)
    theta = 0.5 * torch.randn(
        RUNS, model.layout(shape).total, dtype=torch.float64, generator=generator
    )
    x = torch.randn(RUNS, BATCH, *shape.inputs, dtype=torch.float64, generator=generator)
    return model, shape, batch_objective, theta, x


def test_that_a_model_is_that_of_torch_with_the_same_parameters(case: Any) -> None:
    model, shape, batch_objective, theta, x = case
    layout = model.layout(shape)
    outputs = model.forward(layout.split(theta), x, ForwardContext())
    assert outputs.shape == (RUNS, BATCH, shape.outputs)
    for run in range(RUNS):
        named = {name: value[0] for name, value in layout.named(theta[run : run + 1]).items()}
        torch.testing.assert_close(
            outputs[run], batch_objective(named, x[run]), rtol=1e-11, atol=1e-12
        )


def test_that_a_run_in_a_population_is_the_run_alone(case: Any) -> None:
    model, shape, _, theta, x = case
    split = model.layout(shape).split
    together = model.forward(split(theta), x, ForwardContext())
    shared = model.forward(split(theta), x[0].expand(RUNS, *x[0].shape), ForwardContext())
    for run in range(RUNS):
        mine = theta[run : run + 1]
        torch.testing.assert_close(
            together[run],
            model.forward(split(mine), x[run : run + 1], ForwardContext())[0],
            rtol=1e-12,
            atol=1e-13,
        )
        torch.testing.assert_close(
            shared[run],
            model.forward(split(mine), x[:1], ForwardContext())[0],
            rtol=1e-12,
            atol=1e-13,
        )


def test_that_the_gradient_is_that_of_the_torch_module(case: Any) -> None:
    model, shape, batch_objective, theta, x = case
    y = torch.arange(RUNS * BATCH).view(RUNS, BATCH) % shape.outputs
    objective = Objective(model, registry.build("loss", {"name": "cross_entropy"}), shape)  # type: ignore[arg-type]
    losses, gradient = objective.value_and_gradient(theta, x, y)
    for run in range(RUNS):
        leaf = theta[run : run + 1].clone().requires_grad_()
        named = {name: value[0] for name, value in objective.layout.named(leaf).items()}
        loss = nn.functional.cross_entropy(batch_objective(named, x[run]), y[run])
        (expected,) = torch.autograd.grad(loss, leaf)
        assert losses[run].item() == pytest.approx(loss.item(), rel=1e-11)
        torch.testing.assert_close(gradient[run], expected[0], rtol=1e-9, atol=1e-12)


def test_that_a_trace_changes_nothing_and_ends_with_the_outputs(case: Any) -> None:
    model, shape, _, theta, x = case
    parts = model.layout(shape).split(theta)
    traced: list[torch.Tensor] = []
    outputs = model.forward(
        parts, x, ForwardContext(trace=lambda name, value: traced.append(value))
    )
    assert torch.equal(outputs, model.forward(parts, x, ForwardContext())) and torch.equal(
        outputs, traced[-1]
    )
    assert all(value.shape[:2] == (RUNS, BATCH) for value in traced)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("cnn", (12,), "needs images"),
        ("cnn", (2, 3, 4, 5), "needs images"),
        ("rnn", (12,), "needs sequences"),
        ("rnn", (3, 8, 8), "needs sequences"),
        ("lstm", (12,), "needs sequences"),
        ("transformer", (12,), "needs sequences"),
    ],
)
def test_that_data_of_another_shape_are_refused_with_a_reason(
    name: str, inputs: tuple[int, ...], message: str
) -> None:
    model: Any = registry.build("model", {"name": name})
    with pytest.raises(InvalidInput, match=message) as refusal:
        model.layout(DataShape(inputs, 3, "classes"))
    assert refusal.value.field == "model.name"
    assert str(list(inputs)) in str(refusal.value) and "use mlp" in str(refusal.value)


def test_that_an_even_kernel_is_refused_with_a_reason() -> None:
    model: Any = registry.build("model", {"name": "cnn", "kernel": 4})
    with pytest.raises(InvalidInput, match=r"model\.kernel is 4, but it must be odd"):
        model.layout(DataShape((8, 8), 3, "classes"))


@pytest.mark.parametrize("name", DRAWN)
def test_that_the_forget_gate_starts_open_and_the_other_biases_as_requested(name: str) -> None:
    initializer: Any = registry.build("initializer", {"name": name, "bias": 0.1})
    model: Any = registry.build("model", {"name": "lstm", "units": 7})
    layout = model.layout(SEQUENCE)
    named = layout.named(initializer.start(layout, torch.Generator().manual_seed(0)).unsqueeze(0))
    assert bool((named["forget_gate.bias"] == 1.0).all())
    for other in ("input_gate", "cell", "output_gate", "output"):
        assert bool((named[f"{other}.bias"] == 0.1).all())


def test_that_a_width_that_the_heads_do_not_divide_is_refused_with_a_reason() -> None:
    model: Any = registry.build("model", {"name": "transformer", "width": 10, "heads": 4})
    with pytest.raises(
        InvalidInput, match=r"model\.width is 10, but it must be a multiple of model\.heads \(4\)"
    ):
        model.layout(SEQUENCE)


def test_that_normalizations_of_a_transformer_start_as_the_identity_and_are_not_decayed() -> None:
    model: Any = registry.build(
        "model", {"name": "transformer", "width": 8, "heads": 2, "blocks": 1}
    )
    layout = model.layout(SEQUENCE)
    roles = {spec.name: spec.role for spec in layout.parameters if "norm" in spec.name}
    indices, parts = (
        ("blocks.0.norm1", "blocks.0.norm2", "norm"),
        {"weight": "scale", "bias": "bias"},
    )
    assert roles == {f"{index}.{part}": role for index in indices for part, role in parts.items()}
    initializer: Any = registry.build("initializer", {"name": "he"})
    named = layout.named(initializer.start(layout, torch.Generator().manual_seed(0)).unsqueeze(0))
    assert all(
        bool((named[name] == (1.0 if role == "scale" else 0.0)).all())
        for name, role in roles.items()
    )


def test_that_a_transformer_has_second_derivatives() -> None:
    values, shape, _ = CASES["transformer"]
    model: Any = registry.build("model", values)
    layout = model.layout(shape)
    generator = torch.Generator().manual_seed(5)
    theta = 0.5 * torch.randn(1, layout.total, dtype=torch.float64, generator=generator)
    direction = torch.randn(1, layout.total, dtype=torch.float64, generator=generator)
    x = torch.randn(1, BATCH, *shape.inputs, dtype=torch.float64, generator=generator)

    def gradient(at: torch.Tensor, graph: bool = False) -> torch.Tensor:
        leaf = at if graph else at.clone().requires_grad_()
        loss = model.forward(layout.split(leaf), x, ForwardContext()).square().mean()
        return torch.autograd.grad(loss, leaf, create_graph=graph)[0]

    leaf = theta.clone().requires_grad_()
    (curved,) = torch.autograd.grad((gradient(leaf, True) * direction).sum(), leaf)
    small = 1e-5
    differences = (gradient(theta + small * direction) - gradient(theta - small * direction)) / (
        2.0 * small
    )
    torch.testing.assert_close(
        curved, differences, rtol=1e-4, atol=1e-6 * float(curved.abs().max())
    )
