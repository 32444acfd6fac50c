"""Multilayer perceptron: plain, or with additions that make deep networks easier to optimize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from optlab.catalogue.models import _activations, _chain
from optlab.catalogue.models._activations import Activation
from optlab.catalogue.models._batch_norm import moments, normalized
from optlab.catalogue.models._dropout import WRITTEN, dropout_field, dropping
from optlab.catalogue.models._linearized import LinearizedLayers
from optlab.catalogue.models._symmetries import HiddenSpace, of_chain, of_spaces, rectified_chain
from optlab.catalogue.models.base import ForwardContext, Model, affine
from optlab.catalogue.models.capabilities import (
    InputLayer,
    Layers,
    RectifiedUnits,
    Stack,
    Symmetry,
    Tape,
    WrittenModule,
)
from optlab.core.data import DataShape
from optlab.core.fields import Sizes, choice, flag, number, sizes
from optlab.core.layout import Layout, Parameter, layout, linear
from optlab.core.lazy import torch


class MLP(Model):
    """Layers of affine maps with an activation between them.

    Any two hidden units of a layer can be swapped without changing the function, so the objective
    has as many equivalent minima as there are permutations of the units.

    Deep networks are hard to optimize: the step of a layer assumes that the other layers do not
    change, and the gradient passes through all of them. Batch normalization reparametrizes each
    layer so that its units keep their mean and variance whatever the layers below do; skip
    connections leave a path of plain additions from the output to the input; auxiliary heads train
    every layer to predict the target.
    """

    name: ClassVar[str] = "mlp"
    label: ClassVar[str] = "Multilayer perceptron"
    short: ClassVar[str] = "MLP"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"h_0 = x,\quad h_l = \phi\left(W_l h_{l-1} + b_l\right)",
        r"f(x;\theta) = W_L h_{L-1} + b_L",
        r"\text{batch norm:}\quad "
        r"h_l = \phi\left(\gamma_l \frac{W_l h_{l-1} - \mu_l}{\sigma_l} + \beta_l\right),\quad "
        r"\sigma_l = \sqrt{\delta + \text{var}\left(W_l h_{l-1}\right)}",
        r"\text{skip:}\quad h_l = h_{l-1} + \phi\left(W_l h_{l-1} + b_l\right)",
        r"\text{auxiliary heads:}\quad "
        r"J = \ell\left(f, y\right) + \alpha \sum_l \ell\left(V_l h_l + c_l, y\right)",
        r"\text{dropout, in training:}\quad "
        r"h_l = \frac{d_l}{1 - p} \odot \phi\left(W_l h_{l-1} + b_l\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "φ": "activation",
        "h_l": "activations of hidden layer l",
        "L": "number of affine maps",
        "ℓ": "loss",
        "μ_l, var": "mean and variance of each unit: over the batch in training, over the training "
        "set in evaluation",
        "γ_l, β_l": "learned scale and shift of each unit; β replaces b",
        "V_l, c_l": "auxiliary head of hidden layer l",
        "d_l": "mask of zeros and ones, new at each step; each is 0 with probability p",
    }
    source: ClassVar[str] = (
        "Deep Learning, chapter 6; batch normalization: notes, (8.35)–(8.37), S. Ioffe, C. Szegedy "
        "(2015); skip connections: K. He et al. (2016); auxiliary heads: C.-Y. Lee et al. (2014), "
        "notes, section on models that are easier to optimize; dropout: N. Srivastava et al. (2014)."
    )
    differences: ClassVar[str] = (
        "torch.nn.BatchNorm1d keeps running averages of the moments with momentum 0.1 and uses "
        "them "
        "for evaluation. Here an evaluation uses the moments of the training set itself (of its "
        "first 10,000 examples where it has more), layer by layer, so it depends only on the "
        "parameters. A batch of one example, which torch rejects, is its own mean: each unit "
        "becomes its shift β, and the layers below get no gradient from it."
    )

    hidden: Sizes = sizes(
        (64,),
        "Hidden layers",
        unit="units",
        help="Units of each hidden layer, from the input up, separated by commas; empty for none.",
        why="One layer of 64 units fits the digits and trains fast enough to watch.",
    )
    activation: Activation = choice(
        "relu",
        "Activation",
        symbol="φ",
        help="Function applied to each hidden unit. With saturating functions (tanh, sigmoid) "
        "gradients vanish in deep networks.",
    )
    batch_norm: bool = flag(
        False,
        "Batch normalization",
        help="Normalizes each hidden unit over the batch, before its activation.",
    )
    epsilon: float = number(
        1e-5,
        "Added to the variance",
        symbol="δ",
        gt=0.0,
        log=True,
        slider=(1e-8, 1e-1),
        only_if=("batch_norm", (True,)),
        help="Keeps batch normalization from dividing by zero; no effect without batch "
        "normalization.",
        why="The value of torch; the notes use 1e-8.",
    )
    skip: bool = flag(
        False,
        "Skip connections",
        help="Adds the input of a hidden layer to its output; layers whose input and output differ "
        "in width have none.",
    )
    auxiliary: float = number(
        0.0,
        "Auxiliary heads",
        symbol="α",
        ge=0.0,
        slider=(0.0, 1.0),
        help="Weight of the loss of a linear head on each hidden layer below the last, added to "
        "the "
        "training objective; 0 for none. Reported losses and errors are those of the last head "
        "alone.",
    )
    dropout: float = dropout_field("of the activations of each hidden layer")

    def layout(self, shape: DataShape) -> Layout:
        if self._plain():
            return _chain.chain([shape.width, *self.hidden, shape.outputs])
        tensors: list[Parameter] = []
        inputs = shape.width
        for index, units in enumerate(self.hidden):
            weight, bias = linear(f"layers.{index}", inputs, units)
            if self.batch_norm:
                name = f"norms.{index}"
                tensors += [
                    weight,
                    Parameter(f"{name}.weight", (units,), "scale", units, units),
                    Parameter(f"{name}.bias", (units,), "bias", units, units),
                ]
            else:
                tensors += [weight, bias]
            inputs = units
        tensors += linear(f"layers.{len(self.hidden)}", inputs, shape.outputs, output=True)
        if self.auxiliary_weight():
            for index, units in enumerate(self.hidden[:-1]):
                tensors += linear(f"heads.{index}", units, shape.outputs, output=True)
        return layout(tensors)

    def stack(self) -> Stack | None:
        if not self._plain():
            return None
        depth = len(self.hidden)
        indices = tuple((2 * index, 2 * index + 1) for index in range(depth + 1))
        # Looked up at the call: an experiment is checked where torch is not imported.
        return Stack(
            indices[:depth],
            indices[depth],
            self.activation,
            lambda z: _activations.forward(self.activation)(z),  # noqa: PLW0108
        )

    def as_module(self, shape: DataShape) -> WrittenModule:
        if self._plain() and not self.differs_in_training(shape):
            return WrittenModule(
                _chain.written([shape.width, *self.hidden, shape.outputs], self.activation)
            )
        return WrittenModule(_written(self, shape))

    def taps_layers(self) -> bool:
        return not (self.normalizes() or self.auxiliary_weight())

    def normalizes(self) -> bool:
        return self.batch_norm and len(self.hidden) > 0

    def differs_in_training(self, shape: DataShape) -> bool:
        return self.dropout > 0.0 and len(self.hidden) > 0

    def auxiliary_weight(self) -> float:
        return self.auxiliary if len(self.hidden) > 1 else 0.0

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        drop = dropping(self.dropout, context)
        if drop is None and self._plain():
            return _chain.forward(parameters, x, self.activation, context)
        activate = _activations.forward(self.activation)
        trace, statistics = context.trace, context.statistics
        rest = iter(parameters)
        h = x.flatten(2)
        layers: list[torch.Tensor] = []
        for index in range(len(self.hidden)):
            if self.batch_norm:
                z = torch.bmm(next(rest), h.transpose(1, 2)).transpose(1, 2)
                if trace is not None:
                    trace(f"layers.{index}", z)
                used = moments(z, context.batch_mean) if statistics is None else statistics[index]
                if context.observe is not None:
                    context.observe(used)
                z = normalized(z, used, next(rest), next(rest), self.epsilon)
                if trace is not None:
                    trace(f"norms.{index}", z)
            else:
                z = affine(h, next(rest), next(rest))
                if context.tap is not None:
                    z = context.tap(2 * index, h, z)
                if trace is not None:
                    trace(f"layers.{index}", z)
            active = activate(z)
            if trace is not None:
                trace(f"layers.{index}.{self.activation}", active)
            if drop is not None:
                active = drop(active)
                if trace is not None:
                    trace(f"layers.{index}.dropout", active)
            if self.skip and active.shape == h.shape:
                h = h + active
                if trace is not None:
                    trace(f"layers.{index}.sum", h)
            else:
                h = active
            layers.append(h)
        outputs = affine(h, next(rest), next(rest))
        if context.tap is not None:
            outputs = context.tap(2 * len(self.hidden), h, outputs)
        if trace is not None:
            trace(f"layers.{len(self.hidden)}", outputs)
        if context.branch is not None and self.auxiliary_weight():
            for layer in layers[:-1]:
                context.branch(affine(layer, next(rest), next(rest)))
        return outputs

    def record(
        self, parameters: list[torch.Tensor], x: torch.Tensor
    ) -> tuple[torch.Tensor, Tape] | None:
        return _chain.record(parameters, x, self.activation) if self._plain() else None

    def backward(
        self,
        parameters: list[torch.Tensor],
        tape: Tape,
        delta: torch.Tensor,
        gradients: list[torch.Tensor],
        layers: Layers | None = None,
    ) -> None:
        _chain.backward(parameters, tape, delta, gradients, self.activation, layers)

    def _plain(self) -> bool:
        return not (self.batch_norm or self.skip or self.auxiliary)

    def linearized(
        self, parameters: list[torch.Tensor], x: torch.Tensor
    ) -> LinearizedLayers | None:
        if not self._plain():
            return None
        layers = list(zip(parameters[::2], parameters[1::2], strict=True))
        return LinearizedLayers(layers, self.activation, x.flatten(2))

    def input_layer(self) -> InputLayer:
        return InputLayer(0, () if self.batch_norm else (1,))

    def symmetries(
        self, parameters: list[torch.Tensor], switching: Sequence[torch.Tensor] = ()
    ) -> list[Symmetry]:
        # The scale invariance of batch normalization is not exact, because of the added variance.
        if not (self.batch_norm or self.skip or self.auxiliary_weight()):
            return of_chain(parameters, self.activation, switching)
        step, depth = 3 if self.batch_norm else 2, len(self.hidden)
        spaces: list[HiddenSpace] = []
        width, fixed = parameters[0].shape[2] if parameters else 0, True
        for layer, units in enumerate(self.hidden):
            first = step * layer
            rows: tuple[int, ...] = (first, first + 1)
            if self.batch_norm:
                rows = (first + 1, first + 2)
            columns: tuple[int, ...] = (first + step,)
            if self.auxiliary_weight() and layer < depth - 1:
                columns = (*columns, step * depth + 2 + 2 * layer)
            if self.skip and units == width:
                # The sum is in the space of the layer below, which is fixed where it is the input.
                if not fixed:
                    below = spaces.pop()
                    rows, columns = below.rows + rows, below.columns + columns
                    spaces.append(HiddenSpace(units, rows, columns))
            else:
                fixed = False
                shifts = None
                if not (self.batch_norm or self.skip):
                    shifts = (first + 1, tuple(column + 1 for column in columns))
                spaces.append(HiddenSpace(units, rows, columns, shifts))
            width = units
        return of_spaces(
            parameters,
            spaces,
            self.activation,
            mixing=not self.batch_norm,
            switching=switching,
        )

    def rectified(self) -> list[RectifiedUnits]:
        # Layers that are normalized over the batch can only be rescaled, and the sums of skip
        # connections are not rectified.
        if self.batch_norm or self.skip:
            return []
        return rectified_chain(len(self.hidden), self.activation)


def _written(model: MLP, shape: DataShape) -> str:
    """Return a network with additions as the source of a torch module."""
    widths = [shape.width, *model.hidden]
    norm = f'''class BatchNorm(nn.Module):
    """Batch normalization; evaluations use the moments of the last pass in training mode."""

    def __init__(self, units):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(units))
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, z):
        if self.training:
            mean = z.mean(dim=0)
            variance = (z - mean).square().mean(dim=0)
            self.moments = mean.detach(), variance.detach()
        else:
            mean, variance = self.moments
        return torch.addcmul(self.bias, (z - mean) * ({model.epsilon!r} + variance).rsqrt(), self.weight)


'''
    made = [
        f"widths = {widths}",
        f"self.layers = nn.ModuleList(nn.Linear(m, n{', bias=False' if model.batch_norm else ''}) "
        "for m, n in zip(widths, widths[1:]))",
        f"self.layers.append(nn.Linear(widths[-1], {shape.outputs}))",
    ]
    if model.batch_norm:
        made.append("self.norms = nn.ModuleList(BatchNorm(units) for units in widths[1:])")
    heads = bool(model.auxiliary_weight())
    if heads:
        made.append(
            f"self.heads = nn.ModuleList(nn.Linear(units, {shape.outputs}) for units in widths[1:-1])"
        )
    inner = "self.norms[number](self.layers[number](h))"
    passed = [f"for number in range({len(model.hidden)}):"]
    active = _activations.written(
        model.activation, inner if model.batch_norm else "self.layers[number](h)"
    )
    passed.append(f"    active = {active}")
    drops = model.differs_in_training(shape)
    if drops:
        made.append("self.masks = None  # a generator, in the passes of a step")
        passed.append(f"    active = dropped(active, {model.dropout!r}, self.masks)")
    passed.append(
        "    h = h + active if active.shape == h.shape else active"
        if model.skip
        else "    h = active"
    )
    if heads:
        passed += [
            f"    if heads is not None and number < {len(model.hidden) - 1}:",
            "        heads.append(self.heads[number](h))",
        ]
    return (
        (norm if model.normalizes() else "")
        + (WRITTEN if drops else "")
        + "\n".join(
            [
                "class Net(nn.Module):",
                "    def __init__(self):",
                "        super().__init__()",
                *(f"        {line}" for line in made),
                "",
                f"    def forward(self, x{', heads=None' if heads else ''}):",
                "        h = x.flatten(1)",
                *(f"        {line}" for line in passed),
                "        return self.layers[-1](h)",
                "",
            ]
        )
    )
