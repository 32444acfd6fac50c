"""The network as a sketch: layers as columns of units, weights between them, and activations.

Read from the layout of the parameters and from the intermediate results of a forward pass, so it
works for every model, also for one of the user's. What a sketch leaves out is said in its notes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.models.base import ForwardContext
from optlab.core.errors import InvalidInput
from optlab.core.layout import Parameter
from optlab.core.lazy import torch
from optlab.tasks.model_point import ModelPoint, PartName
from optlab.tasks.model_view import View

Floats = NDArray[np.float64]
UNITS = 12
"""Units of a layer that are drawn at most."""
BATCH = 256
"""Examples over which activations are averaged at most."""
MAX_MAP_SIDE = 32
"""Rows and columns of a feature map that are kept at most; larger ones are thinned."""
_BLOCK = re.compile(r"[^.]+\.\d+(?=\.)")
"""Beginning of the names of a repeated block of layers, such as ``blocks.0``."""

Kind = Literal["input", "units", "maps", "block", "state", "output"]


@dataclass(frozen=True)
class SketchLayer:
    """One column of the sketch.

    Attributes:
        name: of its parameters or of the intermediate result; ``input`` for the inputs.
        kind: see above; maps are feature maps, a block is several layers in one.
        units: number of units, or of feature maps.
        parameters: number of parameters that lead to it.
        shapes: name and shape of each of their tensors, as text.
        activations: values of the units that are drawn, ``[shown]``; None where they are not known.
            maps: feature maps that are drawn, ``[shown, rows, columns]``; None for other layers.
        weights: from the units of the layer before, ``[shown, shown before]``; None where they are
            no plain map. Those of a kernel are its norm, with the sign of its sum.
        own_weights: from a state to the next one, ``[shown, shown]``; None for other layers.
        labels: names of the units that are drawn, of inputs and classes; () where there are none.
    """

    name: str
    kind: Kind
    units: int
    parameters: int = 0
    shapes: tuple[str, ...] = ()
    activations: Floats | None = None
    maps: Floats | None = None
    weights: Floats | None = None
    own_weights: Floats | None = None
    labels: tuple[str, ...] = ()

    @property
    def shown(self) -> NDArray[np.int64]:
        """Numbers ``[shown]`` of the units that are drawn, evenly spaced among all."""
        return shown_units(self.units)


@dataclass(frozen=True)
class NetworkSketch:
    """A network at one point.

    Attributes:
        step: of the weights.
        model: its label.
        parameters: P.
        layers: from the inputs to the outputs.
        of: what the activations are of, a phrase.
        notes: sentences about what the sketch leaves out.
    """

    step: int
    model: str
    parameters: int
    layers: tuple[SketchLayer, ...]
    of: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SketchView(View):
    """Look at the network.

    Attributes:
        part: that the examples are of; "" for the validation part where there is one.
        example: number of the example within the part whose activations are shown; None for the
            mean over the first :data:`BATCH` examples.
    """

    name: ClassVar[str] = "network"
    part: PartName | Literal[""] = ""
    example: int | None = None

    def compute(self, point: ModelPoint) -> NetworkSketch:
        name = self.part or point.default_part
        part = point.part(name)
        if self.example is not None and not 0 <= self.example < len(part):
            raise InvalidInput(
                f"--example is {self.example:,}, but it must be from 0 to {len(part) - 1:,}, the "
                f"examples of the {name} part.",
                "example",
            )
        rows = slice(0, BATCH) if self.example is None else slice(self.example, self.example + 1)
        x = part.x[rows]
        of = (
            f"mean over the first {len(x):,} examples of the {name} part"
            if self.example is None
            else f"example {self.example:,} of the {name} part"
        )
        return _Sketcher(point, x).sketch(of)


def shown_units(units: int) -> NDArray[np.int64]:
    """Return the numbers ``[shown]`` of those of ``units`` units that are drawn, evenly spaced."""
    return np.linspace(0, units - 1, min(units, UNITS)).round().astype(np.int64)


def signed_norms(kernels: torch.Tensor) -> torch.Tensor:
    """Return the norm of each kernel ``[out, in, …]`` with the sign of its sum, ``[out, in]``."""
    flat = kernels.flatten(2)
    norms: torch.Tensor = torch.linalg.vector_norm(flat, dim=2)
    return norms * torch.where(flat.sum(dim=2) < 0.0, -1.0, 1.0)


class _Sketcher:
    """Puts parameters and intermediate results together."""

    def __init__(self, point: ModelPoint, x: Floats) -> None:
        self._point, self._x = point, x
        self._traces: dict[str, torch.Tensor] = {}
        objective = point.objective
        statistics = objective.statistics(point.theta) if objective.model.normalizes() else None

        def trace(name: str, value: torch.Tensor) -> None:
            self._traces[name] = value[0]

        with torch.no_grad():
            objective.outputs(
                point.theta,
                torch.from_numpy(x).unsqueeze(0),
                ForwardContext(training=False, trace=trace, statistics=statistics),
            )
        self._values = {
            one.name: tensor[0]
            for one, tensor in zip(
                objective.layout.parameters, objective.layout.split(point.theta), strict=True
            )
        }
        self._notes: list[str] = []
        self._layers: list[SketchLayer] = []
        self._waiting: list[Parameter] = []
        self._groups = _groups(objective.layout.parameters)
        self._states = _states(list(self._traces), self._groups)

    def sketch(self, of: str) -> NetworkSketch:
        """Return the sketch; ``of`` says what the activations are of."""
        self._layers.append(self._input())
        for name, tensors in self._groups.items():
            self._add(name, tensors)
        self._add_others()
        outputs = _labelled(replace(self._layers[-1], kind="output"), self._point.class_names())
        self._layers[-1] = self._with_tensors(outputs, self._waiting)
        if self._layers[0].units <= UNITS:
            self._layers[0] = _labelled(self._layers[0], self._point.data.input_names)
        return NetworkSketch(
            self._point.step,
            self._point.experiment.model.label,
            self._point.theta.shape[1],
            tuple(self._layers),
            of,
            tuple(dict.fromkeys(self._notes)),
        )

    # --- columns ----------------------------------------------------------------------------------

    def _input(self) -> SketchLayer:
        inputs = self._point.data.shape.inputs
        every = [one for tensors in self._groups.values() for one in tensors]
        first = next((one for one in every if len(one.shape) > 1), None)
        x = torch.from_numpy(self._x)
        if first is not None and len(first.shape) == 4:
            planes = x if x.dim() == 4 else x.unsqueeze(1)
            return SketchLayer("input", "maps", planes.shape[1], maps=_maps(planes))
        if first is not None and len(inputs) == 2 and first.shape[1] == inputs[1]:
            self._notes.append(
                f"An example has {inputs[0]:,} steps; where a layer gives a value for each, their "
                "mean is shown."
            )
            return SketchLayer("input", "input", inputs[1], activations=_means(x))
        return SketchLayer(
            "input", "input", self._point.data.shape.width, activations=_means(x.flatten(1))
        )

    def _add(self, name: str, tensors: list[Parameter]) -> None:
        heads = [group for group, own in self._groups.items() if any(one.output for one in own)]
        own = [tensor for tensor in tensors if _is_map(tensor)]
        is_block = len({one.name.rpartition(".")[0] for one in tensors}) > 1
        result = self._result(name, deeper=not is_block)
        if name in heads[1:]:
            self._notes.append(
                f"The side head {name}, {sum(one.size for one in tensors):,} parameters that only "
                "training uses, is left out."
            )
        elif is_block:
            self._add_block(name, tensors, result)
        elif self._states and result is None:
            self._waiting += tensors
        elif len(own) == 1:
            if self._states and self._waiting:
                self._add_state()
            self._add_units(name, tensors, own[0], result)
        elif len(self._layers) > 1:
            # Scales, shifts and tables count with the column that they follow.
            self._layers[-1] = self._with_tensors(self._layers[-1], tensors)
        else:
            self._waiting += tensors

    def _add_units(
        self, name: str, tensors: list[Parameter], own: Parameter, result: torch.Tensor | None
    ) -> None:
        layer = SketchLayer(
            name,
            "maps" if len(own.shape) == 4 else "units",
            own.shape[0],
            weights=self._weights(own, self._layers[-1]),
        )
        tensors, self._waiting = [*self._waiting, *tensors], []
        self._layers.append(self._with_tensors(self._with_result(layer, result), tensors))

    def _add_block(self, name: str, tensors: list[Parameter], result: torch.Tensor | None) -> None:
        units = self._layers[-1].units if result is None else int(result.shape[-1])
        layer = self._with_result(SketchLayer(name, "block", units), result)
        self._layers.append(self._with_tensors(layer, tensors))
        inner = dict.fromkeys(one.name[len(name) + 1 :].partition(".")[0] for one in tensors)
        self._notes.append(
            f"A block is one column with its results; its parts ({', '.join(inner)}) and the "
            "additions around them are not drawn."
        )

    def _add_state(self) -> None:
        """Add the column of a state that is computed anew at every step of an example."""
        tensors, self._waiting = self._waiting, []
        name = self._states[-1].rpartition(".")[0]
        value = self._traces[self._states[-1]]
        layer, before = SketchLayer(name, "state", int(value.shape[-1])), self._layers[-1]
        for one in tensors:
            if _is_map(one) and one.shape == (layer.units, layer.units):
                own = self._values[one.name][layer.shown][:, layer.shown].numpy()
                layer = replace(layer, own_weights=own)
            elif _is_map(one) and one.shape == (layer.units, before.units):
                layer = replace(layer, weights=self._weights(one, before))
        self._layers.append(self._with_tensors(self._with_result(layer, value), tensors))
        self._notes.append(
            f"The state is drawn once, with its values after the last of {len(self._states):,} "
            "steps; the same weights lead from each state to the next."
        )
        if layer.weights is None:
            self._notes.append("The gates of the state are not drawn.")

    def _add_others(self) -> None:
        """Show the intermediate results that have no parameters under their name.

        They belong to a column of as many units without a result, or are a column of their own.
        """
        for trace in self._traces:
            if trace in self._states or any(
                trace == name or (name and trace.startswith(f"{name}.")) for name in self._groups
            ):
                continue
            value = self._traces[trace]
            units = int(value.shape[-1])
            places = [
                place
                for place, layer in enumerate(self._layers)
                if layer.activations is None and layer.maps is None and layer.units == units
            ]
            if places:
                layer = replace(self._layers[places[-1]], name=trace)
                self._layers[places[-1]] = self._with_result(layer, value)
            else:
                self._layers.append(self._with_result(SketchLayer(trace, "units", units), value))
                self._notes.append(f"No weights are drawn in front of {trace}.")

    # --- parts of a column ------------------------------------------------------------------------

    def _result(self, name: str, *, deeper: bool) -> torch.Tensor | None:
        """Return the last intermediate result under a name, and with ``deeper`` under it."""
        found = [
            trace
            for trace in self._traces
            if trace == name or (deeper and name and trace.startswith(f"{name}."))
        ]
        return self._traces[found[-1]] if found else None

    def _with_result(self, layer: SketchLayer, result: torch.Tensor | None) -> SketchLayer:
        if result is None:
            return layer
        if layer.kind == "maps" and result.dim() == 4:
            return replace(layer, maps=_maps(result))
        return replace(layer, activations=_means(result))

    def _with_tensors(self, layer: SketchLayer, tensors: Sequence[Parameter]) -> SketchLayer:
        texts = tuple(f"{one.name} {'×'.join(map(str, one.shape))}" for one in tensors)
        return replace(
            layer,
            parameters=layer.parameters + sum(one.size for one in tensors),
            shapes=(*layer.shapes, *texts),
        )

    def _weights(self, one: Parameter, before: SketchLayer) -> Floats | None:
        """Return the weights between the units that are drawn; None where they do not fit."""
        value = self._values[one.name]
        if value.dim() == 4:
            self._notes.append(
                "A line between feature maps stands for a kernel: its norm, with the sign of its "
                "sum."
            )
            value = signed_norms(value)
        elif before.kind == "maps" and value.shape[1] % before.units == 0:
            self._notes.append(
                "A line from a feature map to a unit stands for the weights of all its positions: "
                "their norm, with the sign of their sum."
            )
            value = signed_norms(value.unflatten(1, (before.units, -1)))
        if value.shape[1] != before.units:
            return None
        return value[shown_units(len(value))][:, before.shown].numpy()


def _groups(parameters: Sequence[Parameter]) -> dict[str, list[Parameter]]:
    """Return the tensors by the layer, or the block of layers, that they belong to."""
    groups: dict[str, list[Parameter]] = {}
    for one in parameters:
        block = _BLOCK.match(one.name)
        is_block = block is not None and "." in one.name[block.end() + 1 :]
        name = block[0] if block is not None and is_block else one.name.rpartition(".")[0]
        groups.setdefault(name, []).append(one)
    return groups


def _states(traces: Sequence[str], groups: Mapping[str, object]) -> list[str]:
    """Return the results that are numbered by the step of an example, and not by the layer."""
    numbered = [trace for trace in traces if re.fullmatch(r".+\.\d+", trace)]
    return [
        trace
        for trace in numbered
        if not any(name.startswith(trace.rpartition(".")[0]) for name in groups)
    ]


def _labelled(layer: SketchLayer, names: Sequence[str]) -> SketchLayer:
    """Return a layer with the names of its units, if there is one for each."""
    if layer.maps is not None or len(names) != layer.units:
        return layer
    return replace(layer, labels=tuple(names[number] for number in layer.shown))


def _is_map(one: Parameter) -> bool:
    """Return whether a tensor maps the units of one layer to those of the next."""
    if len(one.shape) == 4:
        return True
    return len(one.shape) == 2 and one.shape == (one.fan_out, one.fan_in)


def _means(values: torch.Tensor) -> Floats:
    """Return the mean of each of the units that are drawn over all other axes of ``[…, units]``."""
    means = values.double().reshape(-1, values.shape[-1]).mean(dim=0)
    return means[shown_units(len(means))].numpy()


def _maps(values: torch.Tensor) -> Floats:
    """Return the mean maps ``[shown, rows, columns]`` of ``[m, maps, rows, columns]``."""
    thin = max(1, -(-max(values.shape[2:]) // MAX_MAP_SIDE))
    shown = shown_units(values.shape[1])
    return values[:, shown, ::thin, ::thin].double().mean(dim=0).numpy()
