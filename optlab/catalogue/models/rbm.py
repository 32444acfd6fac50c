"""Restricted Boltzmann machine: a model of a distribution, with an intractable exact gradient."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.models.base import ForwardContext, Model
from optlab.catalogue.models.capabilities import Uniforms, WrittenModule
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import choice, integer
from optlab.core.layout import Layout, Parameter, layout
from optlab.numerics import boltzmann
from optlab.numerics.boltzmann import Machine

if TYPE_CHECKING:
    import torch


class RestrictedBoltzmannMachine(Model):
    """Binary visible and hidden units that learn the distribution of the inputs, without targets.

    Each unit is connected to all units of the other side. The gradient of the log-likelihood has a
    term under the data and a term under the model, and the second needs a sum over all states.
    Contrastive divergence replaces that sum by a chain of k Gibbs steps from each example; this is
    biased, less so for larger k. Training then does not follow the gradient of any reported
    quantity: the reported loss is the reconstruction error (one pass up and down) or, for a machine
    that is small enough, the negative log-likelihood.

    Inputs are probabilities of the visible units, so they must lie between 0 and 1.
    """

    name: ClassVar[str] = "rbm"
    label: ClassVar[str] = "Restricted Boltzmann machine"
    short: ClassVar[str] = "Boltzmann machine"
    sort_order: ClassVar[int] = 45
    rule: ClassVar[tuple[str, ...]] = (
        r"p(v, h) = \frac{1}{Z} e^{-E(v, h)},\quad E(v, h) = -b^\top v - c^\top h - h^\top W v",
        r"F(v) = -b^\top v - \sum_j \log\left(1 + e^{c_j + (W v)_j}\right),\quad -\log p(v) = "
        r"F(v) + \log Z",
        r"\text{CD-k:}\quad g = \nabla_\theta \frac{1}{m} \sum_i \left(F(v_i) - "
        r"F\left(v_i^{(k)}\right)\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "v, h": "visible and hidden units",
        "b, c": "biases of the visible and the hidden units",
        "F": "free energy",
        "Z": "sum over all states",
        "v_i^{(k)}": "end of a chain of k Gibbs steps from example i, held constant",
    }
    source: ClassVar[str] = "Notes, inexact gradients; P. Smolensky (1986), G. Hinton (2002)."
    differences: ClassVar[str] = (
        "sklearn.neural_network.BernoulliRBM uses persistent chains, which continue from one "
        "update "
        "to the next by one step; here each chain begins at its example."
    )

    hidden: int = integer(
        32,
        "Hidden units",
        unit="units",
        ge=1,
        le=16_384,
        log=True,
        slider=(1, 512),
        help="Number of hidden units.",
    )
    learning: Literal["cd", "exact"] = choice(
        "cd",
        "Gradient",
        help="cd: contrastive divergence. exact: the gradient of the negative log-likelihood, for "
        "machines whose smaller side has at most 20 units.",
        why="The exact gradient costs a sum over all states of the smaller side.",
    )
    k: int = integer(
        1,
        "Gibbs steps",
        symbol="k",
        ge=1,
        le=10_000,
        log=True,
        slider=(1, 100),
        only_if=("learning", ("cd",)),
        help="Gibbs steps of each chain; no effect on the exact gradient.",
        why="One step gives a biased estimate in the right direction; each further step costs as "
        "much.",
    )
    reported: Literal["reconstruction", "likelihood"] = choice(
        "reconstruction",
        "Reported loss",
        only_if=("learning", ("cd",)),
        help="reconstruction: the loss between inputs and reconstruction. likelihood: the exact "
        "negative log-likelihood in nats, for machines whose smaller side has at most 20 units; "
        "always used with the exact gradient.",
        why="The reconstruction error can be computed for any size; it falls as the machine "
        "learns, "
        "but it is not what learning minimizes.",
    )

    def layout(self, shape: DataShape) -> Layout:
        if self.has_own_loss() and not boltzmann.enumerable(shape.width, self.hidden):
            raise InvalidInput(
                f"model.hidden is {self.hidden} and the data have {shape.width} inputs, but the "
                "likelihood can be computed only where the smaller side has at most "
                f"{boltzmann.MAX_ENUMERATED_UNITS} units; make model.hidden smaller, or set "
                "model.learning to cd and model.reported to reconstruction.",
                "model.hidden",
            )
        inputs, units = shape.width, self.hidden
        return layout(
            [
                Parameter("weight", (units, inputs), "weight", inputs, units),
                Parameter("visible", (inputs,), "bias", units, inputs),
                Parameter("hidden", (units,), "bias", inputs, units),
            ]
        )

    def as_module(self, shape: DataShape) -> WrittenModule:
        small = ("hidden", "visible") if self.hidden <= shape.width else ("visible", "hidden")
        likelihood = f'''

    def own_loss(self, x):
        """Negative log-likelihood of each example, by enumerating the {small[0]} units."""
        states = torch.arange(2 ** len(self.{small[0]})).unsqueeze(1)
        states = (states >> torch.arange(len(self.{small[0]})) & 1).to(x)
        inputs = {"states @ self.weight" if small[0] == "hidden" else "states @ self.weight.T"} + self.{small[1]}
        weights = states @ self.{small[0]} + F.softplus(inputs).sum(dim=1)
        return self.free_energy(x.flatten(1)) + torch.logsumexp(weights, dim=0)'''
        chain = f'''

    def surrogate(self, x, uniforms):
        """Contrastive divergence: free energy of the data minus that of chains of Gibbs steps."""
        v = x.flatten(1)
        with torch.no_grad():
            end = v
            for _ in range({self.k}):
                p = self.up(end)
                h = (uniforms(p.shape[1]) < p).to(v.dtype)
                p = self.down(h)
                end = (uniforms(p.shape[1]) < p).to(v.dtype)
        return self.free_energy(v).mean() - self.free_energy(end).mean()'''
        return WrittenModule(
            f'''class Net(nn.Module):
    """A restricted Boltzmann machine; its outputs are the reconstruction of its inputs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros({self.hidden}, {shape.width}))
        self.visible = nn.Parameter(torch.zeros({shape.width}))
        self.hidden = nn.Parameter(torch.zeros({self.hidden}))

    def up(self, v):
        return torch.sigmoid(v @ self.weight.T + self.hidden)

    def down(self, h):
        return torch.sigmoid(h @ self.weight + self.visible)

    def forward(self, x):
        return self.down(self.up(x.flatten(1)))

    def free_energy(self, v):
        return -(v @ self.visible + F.softplus(v @ self.weight.T + self.hidden).sum(dim=1))'''
            + (likelihood if self.has_own_loss() else "")
            + (chain if self.uses_surrogate_gradient() else "")
            + "\n",
            targets="x.flatten(1)",
        )

    def target_shape(self, shape: DataShape) -> DataShape:
        return dataclasses.replace(shape, outputs=shape.width, task="regression")

    def targets(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.flatten(2)

    def refusal(self, low: float, high: float) -> str:
        if low >= 0.0 and high <= 1.0:
            return ""
        return (
            "model.name is 'rbm', whose inputs are probabilities, but those of the training set "
            f"range from {low:.3g} to {high:.3g}; set dataset.unit_range to true."
        )

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        machine = Machine(*parameters)
        h = boltzmann.hidden_probabilities(machine, x.flatten(2))
        v = boltzmann.visible_probabilities(machine, h)
        if context.trace is not None:
            context.trace("hidden", h)
            context.trace("visible", v)
        return v

    def has_own_loss(self) -> bool:
        return self.learning == "exact" or self.reported == "likelihood"

    def own_loss(self, parameters: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return boltzmann.negative_log_likelihood(Machine(*parameters), x.flatten(2))

    def uses_surrogate_gradient(self) -> bool:
        return self.learning == "cd"

    def surrogate(
        self, parameters: list[torch.Tensor], x: torch.Tensor, uniforms: Uniforms
    ) -> torch.Tensor:
        machine, v = Machine(*parameters), x.flatten(2)
        return boltzmann.contrast(machine, v, boltzmann.chain(machine, v, self.k, uniforms))
