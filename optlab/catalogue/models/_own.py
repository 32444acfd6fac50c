"""Component classes of registered modules.

Parameters are part of the flat vector; ``torch.func.functional_call`` computes the forward pass.
Frozen parameters and buffers that a training pass changes come with the context of the pass.
Listing the models only reads the registrations; the user's file is executed when a model is first
laid out for data.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import pydantic

from optlab.catalogue.models._own_source import written
from optlab.catalogue.models.base import ForwardContext, Model, Trace
from optlab.catalogue.models.capabilities import WrittenModule
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput, RunFailed, StoreError
from optlab.core.fields import Sizes, Texts, flag, integer, names, number, sizes, text
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.outside.own_models import division, records, sources
from optlab.outside.own_models.calling import Constants, Values, call, over_runs, seeded
from optlab.outside.own_models.division import Division
from optlab.outside.own_models.examination import Examined, built, examine
from optlab.outside.own_models.records import Argument, Registration

INPUTS = "inputs"
"""The field that says what each argument of the forward pass takes."""
_KEPT = 32
"""Number of laid-out models to remember, and of modules that a thread keeps ready."""


class OwnModel(Model):
    """Base of all models that wrap a torch module of the user's own."""

    registration: ClassVar[Registration]

    _division: Division | None = pydantic.PrivateAttr(default=None)

    @classmethod
    def unavailable(cls) -> str:
        try:
            sources.confirmed(cls.registration)
        except (InvalidInput, StoreError) as error:
            return str(error)
        return ""

    def reads_outside(self) -> bool:
        return True

    def layout(self, shape: DataShape) -> Layout:
        # Loaded each time, since the user may have withdrawn the confirmation.
        cls: Any = sources.load(self.registration)
        examined = self._examined(shape)
        key = (
            self.for_shape(shape),
            shape.inputs,
            tuple(parameter.shape for parameter in examined.layout.parameters),
        )
        while len(_laid_out) >= _KEPT and key not in _laid_out:
            _laid_out.pop(next(iter(_laid_out)), None)
        flat = sources.takes(cls, "inputs") and not self.registration.inputs
        _laid_out[key] = (shape, examined, flat)
        return examined.layout

    def for_shape(self, shape: DataShape) -> Self:
        division = self._divided(sources.load(self.registration), shape)
        if division is None:
            return self
        own = self.model_copy()
        own._division = division
        return own

    def reads_codes(self) -> bool:
        return bool(self.registration.inputs)

    def _unread(self) -> Self:
        """Return the model without what it knows of data."""
        if self._division is None:
            return self
        own = self.model_copy()
        own._division = None
        return own

    def _divided(self, cls: type[torch.nn.Module], shape: DataShape) -> Division | None:
        """Return how inputs are divided among the arguments of the forward pass; None where not."""
        if not self.registration.inputs:
            return None
        said = division.checked(cls, division.said_by(getattr(self, INPUTS)), _description(self))
        names = division.wanted(cls, _description(self))
        flat = sources.takes(cls, "inputs")
        return division.division(names, said, shape, _description(self), flat=flat)

    def has_built_start(self) -> bool:
        return True

    def built_start(self, shape: DataShape, generator: torch.Generator) -> torch.Tensor:
        module = self._built(shape, generator)
        return torch.cat(
            [
                parameter.detach().double().cpu().reshape(-1)
                for parameter in module.parameters()
                if parameter.requires_grad
            ]
        )

    def differs_in_training(self, shape: DataShape) -> bool:
        return self._examined(shape).differs

    def built_state(self, shape: DataShape, generator: torch.Generator) -> dict[str, torch.Tensor]:
        names = self._examined(shape).state
        if not names:
            return {}
        module = self._built(shape, generator)
        values = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        found = {name: values[name].detach().cpu() for name in names}
        return {
            name: value.double() if value.is_floating_point() else value.clone()
            for name, value in found.items()
        }

    def _examined(self, shape: DataShape) -> Examined:
        cls: Any = sources.load(self.registration)
        return _examined(self._unread(), cls, shape, self._divided(cls, shape))

    def _built(self, shape: DataShape, generator: torch.Generator) -> torch.nn.Module:
        """Return a module whose constructor drew from the generator."""
        cls: Any = sources.load(self.registration)
        seed = int(torch.randint(2**31, (1,), generator=generator).item())
        make = _constructor(self, cls, shape, self._divided(cls, shape))
        return built(make, _description(self), seed)

    def files(self) -> tuple[Path, ...]:
        return sources.files_of(self.registration)

    def as_module(self, shape: DataShape) -> WrittenModule:
        cls: Any = sources.load(self.registration)
        division = self._divided(cls, shape)
        arguments = _arguments(self, cls, shape, division)
        flat = sources.takes(cls, "inputs") and division is None and len(shape.inputs) > 1
        source = sources.confirmed(self.registration)
        return written(source, self._examined(shape), arguments, division, flat=flat)

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        key = (self, tuple(x.shape[2:]), tuple(tuple(part.shape[1:]) for part in parameters))
        if key not in _laid_out:
            raise ValueError(f"{self.label} must be laid out for data before its forward pass")
        shape, examined, flat = _laid_out[key]
        state = context.state or {}
        if not state.keys() >= set(examined.state):
            raise ValueError(f"{self.label} needs the state of its runs")
        # Between steps nothing is drawn and nothing changes.
        training = context.training and (context.seeds is not None or not examined.differs)
        module, constants = self._module(shape, x, training, examined)
        one = _Pass(module, examined, training, self._division)
        if flat:
            x = x.flatten(2)
        parameters = [
            part.squeeze(1) if spec.name in examined.scalars else part
            for spec, part in zip(examined.layout.parameters, parameters, strict=True)
        ]
        try:
            if context.trace is None and examined.batched and len(x) > 1:
                outputs, after = one.together(parameters, state, x)
            else:
                tracer = None if context.trace is None else _Tracer(module, len(x), context.trace)
                outputs, after = one.in_turn(parameters, state, x, context.seeds, tracer)
        except sources.USER_ERRORS as error:
            raise RunFailed(
                f"model.name is '{self.name}': its forward pass failed with "
                f"{sources.explained(error)}."
            ) from error
        if training:
            changed = constants.changed()
            if changed:
                raise RunFailed(
                    f"model.name is '{self.name}': its forward pass changes its buffer {changed}, "
                    "which it left as it was when it was tried; change a buffer in every training "
                    "pass or in none."
                )
            if context.after is not None and after:
                context.after(after)
        return outputs

    def _module(
        self, shape: DataShape, x: torch.Tensor, training: bool, examined: Examined
    ) -> tuple[torch.nn.Module, Constants]:
        """Return a module that belongs to this thread, and its constants.

        The forward pass puts parameters into it, so two threads must not share one.
        """
        if not hasattr(_thread, "modules"):
            _thread.modules = {}
        kept: dict[Any, tuple[torch.nn.Module, Constants]] = _thread.modules
        key = (self, shape, x.dtype, x.device, training)
        if key not in kept:
            while len(kept) >= _KEPT:
                kept.pop(next(iter(kept)))
            # Constants drawn by the constructor are the same in every module.
            cls = sources.load(self.registration)
            make = _constructor(self, cls, shape, self._division)
            module = built(make, _description(self), 0)
            module = module.to(device=x.device, dtype=x.dtype).train(training)
            kept[key] = module, Constants(module, examined.state)
        return kept[key]


_laid_out: dict[tuple[Any, ...], tuple[DataShape, Examined, bool]] = {}
_thread = threading.local()


@functools.lru_cache(maxsize=_KEPT)
def _examined(model: OwnModel, cls: Any, shape: DataShape, division: Division | None) -> Examined:
    return examine(
        _constructor(model, cls, shape, division),
        shape,
        sources.takes(cls, "inputs"),
        _description(model),
        division,
    )


def _constructor(
    model: OwnModel, cls: type[torch.nn.Module], shape: DataShape, division: Division | None
) -> Callable[[], torch.nn.Module]:
    return functools.partial(cls, **_arguments(model, cls, shape, division))


def _arguments(
    model: OwnModel, cls: type[torch.nn.Module], shape: DataShape, division: Division | None
) -> dict[str, Any]:
    """Return the arguments of the constructor."""
    values = {field.name: getattr(model, field.name) for field in model.fields()}
    if model.registration.inputs:
        del values[INPUTS]  # what the forward pass takes is no argument of the constructor
    return {**sources.from_data(cls, shape, division), **values}


def _description(model: OwnModel) -> str:
    return f"The model {model.name} (class {model.registration.cls})"


class _Pass:
    """A pass of several runs through a module.

    Args:
        module: in the mode of the pass. examined: what is known of it. training: the mode.
        division: of the inputs among its arguments; None where it takes them as one.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        examined: Examined,
        training: bool,
        division: Division | None,
    ) -> None:
        self._module, self._division = module, division
        self._names = [parameter.name for parameter in examined.layout.parameters]
        self._state = examined.state
        self._changing = examined.changing if training else ()
        self._draws = examined.draws and training

    def together(
        self, parameters: list[torch.Tensor], state: Mapping[str, torch.Tensor], x: torch.Tensor
    ) -> tuple[torch.Tensor, Values]:
        """Return outputs ``[R, m, …]``, and the buffers ``[R, …]`` that the pass changes."""
        given = {name: state[name] for name in self._state}
        given |= {name: given[name].clone() for name in self._changing}
        outputs, after = self._over_runs()(parameters, given, x)
        return outputs, {name: value.detach() for name, value in after.items()}

    def _over_runs(self) -> Callable[..., Any]:
        return over_runs(self._module, self._names, self._changing, self._division)

    def in_turn(
        self,
        parameters: list[torch.Tensor],
        state: Mapping[str, torch.Tensor],
        x: torch.Tensor,
        seeds: Sequence[int] | None,
        tracer: _Tracer | None,
    ) -> tuple[torch.Tensor, Values]:
        """Return the same, run by run: as one pass would of each run alone."""
        outputs: list[torch.Tensor] = []
        after: dict[str, list[torch.Tensor]] = {name: [] for name in self._changing}
        with tracer or nullcontext():
            for run, row in enumerate(zip(x, *parameters, strict=True)):
                given = dict(zip(self._names, row[1:], strict=True))
                given |= {name: state[name][run] for name in self._state}
                given |= {name: given[name].clone() for name in self._changing}
                if self._draws and seeds is not None:
                    with seeded(seeds[run], x.device):
                        outputs.append(call(self._module, given, row[0], self._division))
                else:
                    outputs.append(call(self._module, given, row[0], self._division))
                for name, values in after.items():
                    values.append(given[name].detach())
        joined = outputs[0].unsqueeze(0) if len(outputs) == 1 else torch.stack(outputs)
        return joined, {name: torch.stack(values) for name, values in after.items()}


class _Tracer:
    """Traces the output ``[R, m, …]`` of each layer of a module while it is entered.

    Args:
        module: through which ``runs`` runs pass in turn. trace: called with names and values.
    """

    def __init__(self, module: torch.nn.Module, runs: int, trace: Trace) -> None:
        self._layers = [
            (name, layer)
            for name, layer in module.named_modules()
            if name and not any(True for _ in layer.children())
        ]
        self._runs, self._trace = runs, trace
        self._recorded: dict[str, list[torch.Tensor]] = {}

    def __enter__(self) -> None:
        self._hooks = [
            layer.register_forward_hook(self._recorder(name)) for name, layer in self._layers
        ]

    def __exit__(self, *exception: object) -> None:
        for handle in self._hooks:
            handle.remove()
        if exception[0] is not None:
            return
        for name, values in self._recorded.items():
            if len(values) == self._runs:  # a layer used twice in a pass has no single output
                # Of one run the output itself, so that gradients by it are known.
                alone = len(values) == 1
                self._trace(name, values[0].unsqueeze(0) if alone else torch.stack(values))

    def _recorder(self, name: str) -> Callable[..., None]:
        def hook(layer: Any, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                self._recorded.setdefault(name, []).append(output)

        return hook


# --- from registrations to classes ----------------------------------------------------------------


def registered() -> tuple[list[type[Model]], dict[str, str]]:
    """Return a component class for each registered model, and name → why it cannot be used."""
    try:
        entries = records.read_entries()
    except StoreError as error:
        return [], {f"{records.PREFIX}…": str(error)}
    models: list[type[Model]] = []
    refused: dict[str, str] = {}
    for entry in entries:
        if entry.registration is None:
            refused[f"{records.PREFIX}{entry.label}"] = entry.problem
            continue
        model = component_class(entry.registration)
        try:
            model.build({}, "")
        except InvalidInput as error:
            refused[model.name] = (
                f"A default of its constructor is no value of a field: {error} Register it again."
            )
        else:
            models.append(model)
    return models, refused


@functools.cache
def component_class(registration: Registration) -> type[OwnModel]:
    """Return the component class of a registered model, the same for each walk of the catalogue."""
    reserved = frozenset(dir(OwnModel))
    usable = [
        a
        for a in registration.arguments
        if a.name not in reserved and not a.name.startswith(("_", "model_"))
    ]
    fixed = [*registration.fixed, *(a.name for a in registration.arguments if a not in usable)]
    paragraphs = [
        f"Your own class {registration.cls}, registered on this machine.",
        f"It is executed from {registration.origin} as long as the file is unchanged since you "
        "confirmed it. By default its parameters start as its constructor sets them, seeded by the "
        "seed of the run.",
        "Buffers that a training pass changes, such as the running statistics of batch "
        "normalization, frozen parameters and the random numbers of dropout belong to the run: they "
        "are part of its snapshots, repeat from its seed, and are each run's own in a population, "
        "whose runs pass one after the other where the module draws. All passes of a step start "
        "from the same buffers and draw the same numbers; the buffers change once a step, by the "
        "pass of its gradient, or by a pass at the parameters before the step where the rule "
        "evaluates the objective itself. "
        "Everything else sees the module in evaluation mode, with the buffers of the "
        "step: evaluations, test error, instruments, spectra, slices, critical points and the full "
        "gradient; svrg, which mixes the two, refuses a module whose training passes differ, and so "
        "do several ranks. Averaged parameters are evaluated with the buffers of the iterates.",
    ]
    if fixed:
        paragraphs.append(f"These arguments keep their defaults: {', '.join(fixed)}.")
    divided: dict[str, Any] = {}
    if registration.inputs:
        arguments = ", ".join(registration.inputs)
        divided[INPUTS] = names(
            registration.columns,
            "Inputs",
            help=f"What each argument of the forward pass ({arguments}) takes, as NAME=COLUMNS: "
            "names of columns, their numbers from 1, a range such as 2-5, or * for the others. One "
            "that is not listed takes the column of its name, or what the others leave.",
        )
        paragraphs.insert(
            1,
            f"Its forward pass takes {arguments}. Columns of the role code are given as whole "
            "numbers (int64), for an embedding, 0 being what no training row has; all others as "
            "real numbers, one column of values for each. The constructor may take inputs (numbers "
            "of values), input_shape and codes (numbers of codes of each column), each a dict by "
            "these names.",
        )
    body: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": f"Own{registration.cls}",
        "__doc__": "\n\n".join(paragraphs),
        "__annotations__": {
            **dict.fromkeys(divided, Texts),
            **{a.name: _TYPES[a.kind] for a in usable},
        },
        "name": f"{records.PREFIX}{registration.name}",
        "label": f"{registration.cls} (own.{registration.name})",
        "group": "Your own",
        "sort_order": 500,
        "own_modules": (
            sources.module_name(
                registration.origin, registration.sha256, imported=registration.imported
            ),
        ),
        "source": f"Your own: {registration.origin}, SHA-256 {registration.sha256}.",
        "registration": registration,
        **divided,
        **{a.name: _declared(a, registration) for a in usable},
    }
    return type(f"Own{registration.cls}", (OwnModel,), body)


_TYPES: dict[str, Any] = {"whole": int, "real": float, "switch": bool, "text": str, "sizes": Sizes}


def _declared(argument: Argument, registration: Registration) -> Any:
    label = argument.name.replace("_", " ").strip()
    label = label[:1].upper() + label[1:]
    help = f"The argument {argument.name} of the constructor of {registration.cls}."
    match argument.default:
        case bool():
            return flag(argument.default, label, help=help)
        case int():
            return integer(argument.default, label, help=help)
        case float():
            return number(argument.default, label, help=help)
        case str():
            return text(argument.default, label, help=help, longest=max(200, len(argument.default)))
        case tuple():
            return sizes(argument.default, label, help=help)
