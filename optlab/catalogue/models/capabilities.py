"""What a model can do beside its forward pass: one small base class per capability, off by default.

:class:`optlab.catalogue.models.base.Model` inherits from all of them, so a caller asks any model.
Whether a capability is on may depend on a model's fields (a multilayer perceptron normalizes over
the batch only with ``batch_norm``), so a method says it and not the class. A model overrides all
methods of a capability that it has, and none of the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from optlab.core.data import DataShape
from optlab.core.lazy import torch

Moments = tuple["torch.Tensor", "torch.Tensor"]
"""Means and variances ``[R, 1, units]`` with which a layer is normalized."""
Uniforms = Callable[[int], "torch.Tensor"]
"""Number of units → fresh uniform numbers ``[R, m, units]``, for each example of a batch."""
Tape = list["torch.Tensor"]
"""Intermediate results of a forward pass, for the backward pass."""
Layers = list[tuple["torch.Tensor", "torch.Tensor"]]
"""Inputs ``[R, m, in]`` of affine layers, and gradient ``[R, m, out]`` by their outputs."""
OutputHessian = Callable[["torch.Tensor"], "torch.Tensor"]
"""``u [R, m, outputs]`` → the Hessian of the loss by the outputs (or what stands for it), times u."""


@dataclass(frozen=True)
class Symmetry:
    """A family of changes of the parameters that leave the outputs as they are.

    Attributes:
        name: for the user, in the plural or as a noun: "rescaling of units".
        count: number k of independent one-parameter families.
        directions: called to compute the directions ``[k, P]`` in which they leave the point.
        rotation: whether they keep the sum of all squared weights.
    """

    name: str
    count: int
    directions: Callable[[], torch.Tensor]
    rotation: bool = False


@dataclass(frozen=True)
class RectifiedUnits:
    """Where to see which units behind a ReLU are on.

    Attributes:
        trace: name of a trace of their values, before or after the ReLU; one that ends in a point
            is the beginning of the names of several.
        axis: of the units in it.
    """

    trace: str
    axis: int = -1


@dataclass(frozen=True)
class InputLayer:
    """The affine layer that alone reads the inputs, in a way that depends on its outputs alone.

    Attributes:
        weight: index of its weight ``[units, inputs]`` in the layout. An example, or a step of it, has
            ``inputs`` values.
        biases: indices of the tensors that together are its bias ``[units]``; () where it has none.
    """

    weight: int
    biases: tuple[int, ...] = ()


class OwnTargets:
    """Targets that the model sets itself, as an autoencoder does with its inputs."""

    def target_shape(self, shape: DataShape) -> DataShape:
        """Return the shape of the problem that the model makes of data of this shape.

        Its outputs and task may differ from those of the data.
        """
        return shape

    def targets(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the values with which the outputs are compared; by default the data's targets.

        Args:
            x: inputs ``[R, m, *inputs]``.
            y: targets ``[R, m]`` or ``[R, m, outputs]`` of the data.
        """
        return y


class RestrictedInputs:
    """Inputs that must lie in some range."""

    def refusal(self, low: float, high: float) -> str:
        """Return why the model does not accept training inputs from ``low`` to ``high``.

        A sentence for the user; "" where the model accepts them.
        """
        return ""


class DividedInputs:
    """Inputs of which the model takes apart what the data call by names."""

    def for_shape(self, shape: DataShape) -> Self:
        """Return the model as it reads data of this shape; only that one can pass forward.

        Args:
            shape: of the data, with the names of what its inputs consist of.

        Raises:
            InvalidInput: the data have no such names.
        """
        return self

    def reads_codes(self) -> bool:
        """Return whether inputs may be codes, which name things and measure nothing."""
        return False


class OwnLoss:
    """A loss of the model's own, in place of the experiment's."""

    def has_own_loss(self) -> bool:
        """Return whether the model replaces the experiment's loss by :meth:`own_loss`."""
        return False

    def own_loss(self, parameters: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Return the model's own loss ``[R, m]`` of each example.

        Args:
            parameters: views ``[R, *shape]`` in the order of the layout.
            x: inputs ``[R, m, *inputs]``.

        Raises:
            TypeError: the model has no loss of its own.
        """
        raise TypeError(f"{type(self).__name__} has no loss of its own")


class SurrogateGradient:
    """Training along the gradient of another function, because that of the loss is intractable."""

    def uses_surrogate_gradient(self) -> bool:
        """Return whether training follows the gradient of :meth:`surrogate`, not of the loss."""
        return False

    def surrogate(
        self, parameters: list[torch.Tensor], x: torch.Tensor, uniforms: Uniforms
    ) -> torch.Tensor:
        """Return a value ``[R]`` for a batch, whose gradient training follows.

        The value itself is not reported.

        Args:
            parameters: views ``[R, *shape]`` in the order of the layout.
            x: inputs ``[R, m, *inputs]``.
            uniforms: source of all random numbers.

        Raises:
            TypeError: training follows the gradient of the loss.
        """
        raise TypeError(f"{type(self).__name__} follows the gradient of its loss")


class BuiltStart:
    """Parameters that a constructor sets, as that of a user's module does."""

    def has_built_start(self) -> bool:
        """Return whether :meth:`built_start` gives the parameters of a newly built model."""
        return False

    def built_start(self, shape: DataShape, generator: torch.Generator) -> torch.Tensor:
        """Return the parameters ``[P]`` of a newly built model, float64 on the CPU.

        Args:
            shape: shape of the data.
            generator: seeds whatever the constructor draws.

        Raises:
            TypeError: initializers draw all parameters of the model.
        """
        raise TypeError(f"{type(self).__name__} has no start of its own")


class BatchNormalization:
    """A training pass in which the examples of a batch depend on each other."""

    def normalizes(self) -> bool:
        """Return whether a training pass normalizes over the batch.

        An evaluation then needs the ``statistics`` of the training set in its context.
        """
        return False


class TrainingPasses:
    """Training passes that draw random numbers, or keep state beside the parameters."""

    def differs_in_training(self, shape: DataShape) -> bool:
        """Return whether a training pass draws random numbers or changes the state of a run.

        Only the passes of a step do so. Every other pass evaluates, though its context may say that
        it is a training pass.

        Args:
            shape: of the data.
        """
        return False

    def built_state(self, shape: DataShape, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return what a run has beside its parameters before its first step, by name.

        Real values are float64; {} where a run has nothing beside its parameters.

        Args:
            shape: of the data.
            generator: seeds whatever a constructor draws.
        """
        return {}


class AuxiliaryHeads:
    """Heads on hidden layers, whose losses are part of the training objective."""

    def auxiliary_weight(self) -> float:
        """Return the weight of the losses of auxiliary heads; 0 where there are none."""
        return 0.0


@dataclass(frozen=True)
class Stack:
    """Hidden layers that can be trained one by one.

    Each is an affine map of the layer below, followed by an activation.

    Attributes:
        layers: for each hidden layer, from the input up, the indices of its weight and bias in the
            layout.
        output: indices of the weight and bias of the output layer.
        activation: name of the activation.
        activate: the activation function.
    """

    layers: tuple[tuple[int, int], ...]
    output: tuple[int, int]
    activation: str
    activate: Callable[[torch.Tensor], torch.Tensor]


class LayerStack:
    """Hidden layers that can be trained one by one."""

    def stack(self) -> Stack | None:
        """Return the hidden layers as a stack, or None where they do not form one."""
        return None


class LayerTaps:
    """Affine layers and convolutions whose inputs and outputs a forward pass can show."""

    def taps_layers(self) -> bool:
        """Return whether all parameters belong to such layers, each used once.

        A forward pass then calls ``context.tap`` with each of them. In the layout a weight is
        followed by its bias, where it has one.
        """
        return False


class Symmetries:
    """Continuous changes of the parameters that change no output."""

    def symmetries(
        self, parameters: list[torch.Tensor], switching: Sequence[torch.Tensor] = ()
    ) -> list[Symmetry]:
        """Return the known exact symmetries of the outputs at a point.

        They need not be all. Those of the loss, such as the shift of all outputs that a softmax
        ignores, are not among them.

        Args:
            parameters: views ``[1, *shape]`` in the order of the layout.
            switching: for each entry of :meth:`rectified` which of its units switch together on the
                examples in question, ``[units]``: the same number for those that are on for the
                same examples, 0 for those that are on for all, −1 for those that are on for none.
                Without it only symmetries on all possible examples are returned.
        """
        return []

    def rectified(self) -> list[RectifiedUnits]:
        """Return the layers of rectified units of which :meth:`symmetries` can make use."""
        return []

    def input_layer(self) -> InputLayer | None:
        """Return the layer that reads the inputs; by default None, where it is not known.

        Where inputs depend on each other, changes of its weights have no effect.
        """
        return None


@dataclass(frozen=True)
class ImportedModule:
    """What scripts need to know of a module whose class they import.

    Attributes:
        files: what they import from beside them: path relative to their folder → content.
        package: the installed package that they import, "" for none.
        seeds: statements that seed whatever a constructor draws, so that what is neither parameter
            nor buffer is as in the run.
        frozen: whether it has parameters that are not trained.
        unused: whether it has parameters that have no part in its outputs.
        draws: whether a training pass draws from torch's own generators, which a step seeds.
        changes: whether a training pass changes buffers.
    """

    files: Mapping[str, bytes]
    package: str
    seeds: tuple[str, ...]
    frozen: bool
    unused: bool
    draws: bool
    changes: bool


@dataclass(frozen=True)
class WrittenModule:
    """A model as the source of a torch module, for scripts.

    Attributes:
        source: definition of a class ``Net`` for one run: its constructor takes no arguments, its
            parameters have the names of the layout, and it maps inputs ``[m, *inputs]`` to outputs
            ``[m, outputs]``. The modules ``torch``, ``nn`` and ``F`` are imported. Where the model
            has auxiliary heads, ``forward`` appends their outputs to its second argument, a list;
            a loss of its own is ``own_loss(x)`` ``[m]``, a surrogate ``surrogate(x, uniforms)``.
            Where a training pass draws random numbers, they come from the generator in the module's
            attribute ``masks``, which is None where nothing is drawn.
            In evaluations, a layer that normalizes over the batch uses the moments of the last pass
            in training mode.
        targets: expression of what the outputs are compared with, from a batch ``x``, ``y``.
        creation: expression of a new module, if the constructor takes arguments.
        imported: set where the source imports the class. Passes that belong to no step are then in
            evaluation mode if those of a step draw random numbers or change buffers.
    """

    source: str
    targets: str = "y"
    creation: str = "Net()"
    imported: ImportedModule | None = None


class AsModule:
    """Can be written as a torch module."""

    def as_module(self, shape: DataShape) -> WrittenModule | None:
        """Return the source of a module for data of this shape; None where there is none."""
        return None


class WrittenOutGradient:
    """A backward pass written out by hand.

    Small networks spend most of a step in autograd's bookkeeping; writing the backward pass out
    saves a third of the step.
    """

    def record(
        self, parameters: list[torch.Tensor], x: torch.Tensor
    ) -> tuple[torch.Tensor, Tape] | None:
        """Compute the outputs, and keep what :meth:`backward` needs.

        Args:
            parameters: views ``[R, *shape]`` in the order of the layout.
            x: inputs ``[R, m, *inputs]``.

        Returns:
            Outputs ``[R, m, outputs]`` and the tape; None where gradients are left to autograd.
        """
        return None

    def backward(
        self,
        parameters: list[torch.Tensor],
        tape: Tape,
        delta: torch.Tensor,
        gradients: list[torch.Tensor],
        layers: Layers | None = None,
    ) -> None:
        """Write the gradients of the parameters.

        Args:
            parameters: views ``[R, *shape]`` in the order of the layout.
            tape: what :meth:`record` returned.
            delta: gradient ``[R, m, outputs]`` by the outputs.
            gradients: views ``[R, *shape]`` to write to, in the order of the layout.
            layers: list to which inputs and delta of each affine layer are appended; all of these
                layers have a bias.

        Raises:
            TypeError: gradients are left to autograd.
        """
        raise TypeError(f"{type(self).__name__} leaves gradients to autograd")


class Linearized(ABC):
    """A model at one point, with its first and second derivatives along directions.

    Directions and results are lists of tensors ``[R, *shape]`` in the order of the layout.

    Attributes:
        outputs: ``[R, m, outputs]`` at the point.
    """

    outputs: torch.Tensor

    @abstractmethod
    def differentiate(self, delta: torch.Tensor) -> None:
        """Set the gradient ``[R, m, outputs]`` of the loss by the outputs.

        Call it before :meth:`gradient`, :meth:`squared_norms` and :meth:`product`.
        """

    @abstractmethod
    def gradient(self, out: list[torch.Tensor]) -> None:
        """Write the gradient of the loss to ``out``, tensors ``[R, *shape]``."""

    @abstractmethod
    def squared_norms(self) -> torch.Tensor:
        """Return the squared norm ``[R, m]`` of each example's term of the gradient of the loss."""

    @abstractmethod
    def second_order(self, directions: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return first and second derivative of the outputs along the directions.

        Args:
            directions: tensors ``[R, *shape]``.

        Returns:
            Both ``[R, m, outputs]``.
        """

    @abstractmethod
    def product(
        self,
        directions: list[torch.Tensor],
        output_hessian: OutputHessian,
        out: list[torch.Tensor],
    ) -> None:
        """Write the Hessian of the loss times the directions to ``out``.

        Args:
            directions: tensors ``[R, *shape]``.
            output_hessian: multiplies by the Hessian of the loss by the outputs.
            out: tensors ``[R, *shape]`` to write to.
        """

    @abstractmethod
    def gauss_newton_product(
        self,
        directions: list[torch.Tensor],
        output_matrix: OutputHessian,
        out: list[torch.Tensor],
    ) -> None:
        """Write ``Jᵀ S J`` times the directions to ``out``, with J the Jacobian of the outputs.

        Args:
            directions: tensors ``[R, *shape]``.
            output_matrix: multiplies by S: the Hessian of the loss by the outputs for the
                Gauss–Newton matrix, the Fisher matrix of the predictions for that of the model.
            out: tensors ``[R, *shape]`` to write to.
        """


class WrittenOutHessian:
    """Second derivatives written out by hand."""

    def linearized(self, parameters: list[torch.Tensor], x: torch.Tensor) -> Linearized | None:
        """Return the model at a point, with its derivatives.

        Args:
            parameters: views ``[R, *shape]`` in the order of the layout.
            x: inputs ``[R, m, *inputs]``.

        Returns:
            None where second derivatives are left to autograd.
        """
        return None
