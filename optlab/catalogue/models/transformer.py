"""Small transformer: attention connects any two steps of a sequence in one multiplication."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from optlab.catalogue.models._attention_symmetries import PER_BLOCK, of_transformer
from optlab.catalogue.models._dropout import WRITTEN, dropout_field, dropping
from optlab.catalogue.models._sequences import sequence_inputs
from optlab.catalogue.models.base import ForwardContext, Model, affine
from optlab.catalogue.models.capabilities import (
    InputLayer,
    RectifiedUnits,
    Symmetry,
    WrittenModule,
)
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import integer
from optlab.core.layout import Layout, Parameter, layout, linear
from optlab.core.lazy import functional, torch

_EPSILON = 1e-5
"""Added to the variance in layer normalization; the value of torch."""


class Transformer(Model):
    """Blocks of attention and a small network, with skip connections; the mean over steps is read.

    The path from any step to any other is one block long, however far apart they are, so gradients
    do not vanish with the length of the sequence. Normalization before each part (pre-norm) leaves
    a path of plain additions from the output to the input.
    """

    name: ClassVar[str] = "transformer"
    label: ClassVar[str] = "Small transformer"
    short: ClassVar[str] = "Transformer"
    sort_order: ClassVar[int] = 80
    rule: ClassVar[tuple[str, ...]] = (
        r"h_t = E x_t + e + p_t",
        r"h \leftarrow h + \text{att}\left(\text{norm}(h)\right),\quad h \leftarrow h + "
        r"\text{mlp}\left(\text{norm}(h)\right)",
        r"\text{att}(z)_t = O \sum_s \text{softmax}_s\left(\frac{q_t^\top k_s}{\sqrt{w}}\right) "
        r"v_s + o,\quad (q, k, v)_t = A z_t + a",
        r"f(x;\theta) = V\, \frac{1}{T} \sum_t \text{norm}(h)_t + c",
        r"\text{dropout, in training:}\quad z \leftarrow \frac{d}{1 - p} \odot z\quad "
        r"\text{for}\ z = h_t,\ \text{att},\ \text{mlp}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "p_t": "learned embedding of position t",
        "q, k, v": "query, key and value, one of each for each head",
        "w": "width of a head",
        "norm": "layer normalization: mean 0 and variance 1 over the units of each step, then a "
        "learned scale and bias",
        "mlp": "affine map, ReLU, affine map",
        "T": "length of the sequence",
        "d": "mask of zeros and ones, new at each step; each is 0 with probability p",
    }
    source: ClassVar[str] = (
        "A. Vaswani et al. (2017), Attention is all you need; normalization before each part: "
        "R. Xiong et al. (2020)."
    )
    differences: ClassVar[str] = (
        "A block is torch.nn.TransformerEncoderLayer with norm_first=True and, without dropout, the "
        "same numbers. torch drops inside of attention and of the small network, too, and not in "
        "the embedded sequence."
    )

    width: int = integer(
        32,
        "Width",
        unit="units",
        ge=1,
        le=4096,
        log=True,
        slider=(4, 256),
        help="Units of each step; a multiple of the number of heads.",
    )
    heads: int = integer(
        4,
        "Heads",
        ge=1,
        le=64,
        slider=(1, 8),
        help="Attention heads of a block, each on its share of the units.",
    )
    blocks: int = integer(
        2,
        "Blocks",
        ge=1,
        le=4,
        slider=(1, 4),
        help="Number of blocks.",
        why="A second block can combine the results of the first; more make each step slower.",
    )
    hidden: int = integer(
        64,
        "Hidden units",
        unit="units",
        ge=1,
        le=16_384,
        log=True,
        slider=(4, 512),
        help="Width of the hidden layer of each block's small network.",
    )
    dropout: float = dropout_field(
        "of the embedded sequence and of what each part adds to it, as in the paper"
    )

    def layout(self, shape: DataShape) -> Layout:
        inputs = sequence_inputs(shape, self.name)
        n = self.width
        if n % self.heads:
            raise InvalidInput(
                f"model.width is {n}, but it must be a multiple of model.heads ({self.heads}).",
                "model.width",
            )
        tensors = [
            *linear("embedding", inputs, n),
            Parameter("positions.weight", (shape.inputs[0], n), "weight", n, n),
        ]
        for number in range(self.blocks):
            block = f"blocks.{number}"
            tensors += [
                *_norm(f"{block}.norm1", n),
                # Queries, keys and values are three maps in one tensor; each has n inputs and
                # outputs.
                Parameter(f"{block}.attention.weight", (3 * n, n), "weight", n, n, stacked=3),
                Parameter(f"{block}.attention.bias", (3 * n,), "bias", n, n),
                *linear(f"{block}.mixing", n, n),
                *_norm(f"{block}.norm2", n),
                *linear(f"{block}.hidden", n, self.hidden),
                *linear(f"{block}.back", self.hidden, n),
            ]
        return layout(
            [*tensors, *_norm("norm", n), *linear("output", n, shape.outputs, output=True)]
        )

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        embedding, embedding_bias, positions, *rest = parameters
        trace = context.trace
        steps = tuple(x.shape[1:3])
        drop = dropping(self.dropout, context)

        def report(name: str, value: torch.Tensor) -> None:
            if trace is not None:
                trace(name, value.unflatten(1, steps))

        # Steps of all examples are on one axis, [R, m * T, units], except in the attention.
        embedded = affine(x.flatten(1, 2), embedding, embedding_bias)
        report("embedding", embedded)
        h = (embedded.unflatten(1, steps) + positions.unsqueeze(1)).flatten(1, 2)
        if drop is not None:
            h = drop(h)
        for number in range(self.blocks):
            (
                scale1,
                shift1,
                attending,
                attending_bias,
                mixing,
                mixing_bias,
                scale2,
                shift2,
                up,
                up_bias,
                back,
                back_bias,
            ) = rest[PER_BLOCK * number : PER_BLOCK * (number + 1)]
            block = f"blocks.{number}"
            projected = affine(_normalized(h, scale1, shift1), attending, attending_bias)
            report(f"{block}.attention", projected)
            mixed = affine(
                self._attention(projected.unflatten(1, steps)).flatten(1, 2), mixing, mixing_bias
            )
            report(f"{block}.mixing", mixed)
            h = h + (mixed if drop is None else drop(mixed))
            z = affine(_normalized(h, scale2, shift2), up, up_bias)
            report(f"{block}.hidden", z)
            active = torch.relu(z)
            report(f"{block}.hidden.relu", active)
            returned = affine(active, back, back_bias)
            report(f"{block}.back", returned)
            h = h + (returned if drop is None else drop(returned))
            report(block, h)
        scale, shift, reading, reading_bias = rest[-4:]
        pooled = _normalized(h, scale, shift).unflatten(1, steps).mean(dim=2)
        outputs = affine(pooled, reading, reading_bias)
        if trace is not None:
            trace("output", outputs)
        return outputs

    def differs_in_training(self, shape: DataShape) -> bool:
        return self.dropout > 0.0

    def as_module(self, shape: DataShape) -> WrittenModule:
        n = self.width
        masks, made, given = "", "", ""
        mixing = "self.mixing(mixed.transpose(1, 2).flatten(2))"
        back = "self.back(torch.relu(self.hidden(self.norm2(h))))"
        embedded = "self.embedding(x) + self.positions.weight"
        if self.dropout:
            masks, given = ", masks", ", self.masks"
            made = "\n        self.masks = None  # a generator, in the passes of a step"
            mixing, back = (f"dropped({one}, {self.dropout!r}, masks)" for one in (mixing, back))
            embedded = f"dropped({embedded}, {self.dropout!r}, self.masks)"
        return WrittenModule(
            f"""{WRITTEN if self.dropout else ""}class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm({n})
        self.attention = nn.Linear({n}, {3 * n})
        self.mixing = nn.Linear({n}, {n})
        self.norm2 = nn.LayerNorm({n})
        self.hidden = nn.Linear({n}, {self.hidden})
        self.back = nn.Linear({self.hidden}, {n})

    def forward(self, h{masks}):
        projected = self.attention(self.norm1(h)).chunk(3, dim=2)
        q, k, v = (part.unflatten(2, ({self.heads}, -1)).transpose(1, 2) for part in projected)
        mixed = F.scaled_dot_product_attention(q, k, v)
        h = h + {mixing}
        return h + {back}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Linear({shape.inputs[1]}, {n})
        self.positions = nn.Embedding({shape.inputs[0]}, {n})
        self.blocks = nn.ModuleList(Block() for _ in range({self.blocks}))
        self.norm = nn.LayerNorm({n})
        self.output = nn.Linear({n}, {shape.outputs}){made}

    def forward(self, x):
        h = {embedded}
        for block in self.blocks:
            h = block(h{given})
        return self.output(self.norm(h).mean(dim=1))
"""
        )

    def symmetries(
        self, parameters: list[torch.Tensor], switching: Sequence[torch.Tensor] = ()
    ) -> list[Symmetry]:
        return of_transformer(parameters, self.heads, switching)

    def rectified(self) -> list[RectifiedUnits]:
        return [RectifiedUnits(f"blocks.{number}.hidden") for number in range(self.blocks)]

    def input_layer(self) -> InputLayer:
        return InputLayer(0, (1,))

    def _attention(self, projected: torch.Tensor) -> torch.Tensor:
        """Compute self-attention: ``[R, m, T, 3 * width]`` → ``[R, m, T, width]``.

        Written out, since torch's fused attention has no second derivatives, which curvature needs.
        """
        queries, keys, values = (
            part.unflatten(3, (self.heads, -1)) for part in projected.chunk(3, dim=3)
        )
        # Axes: r run, m example, t step of the query, s step of the key, h head, w unit of a head.
        scores = (
            torch.einsum("rmthw,rmshw->rmhts", queries, keys) / (self.width // self.heads) ** 0.5
        )
        mean: torch.Tensor = torch.einsum("rmhts,rmshw->rmthw", scores.softmax(dim=4), values)
        return mean.flatten(3)


def _norm(name: str, units: int) -> list[Parameter]:
    return [
        Parameter(f"{name}.weight", (units,), "scale", units, units),
        Parameter(f"{name}.bias", (units,), "bias", units, units),
    ]


def _normalized(h: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Apply layer normalization, with scales and biases ``[R, units]`` of each run."""
    return torch.addcmul(
        shift.unsqueeze(1), functional.layer_norm(h, h.shape[2:], eps=_EPSILON), scale.unsqueeze(1)
    )
