"""Component classes of registered modules.

Parameters are part of the flat vector; ``torch.func.functional_call`` computes the forward pass.
Listing the models only reads the registrations; the user's file is executed when a model is first
laid out for data.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

from optlab.catalogue.models.base import ForwardContext, Model, Trace
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput, RunFailed, StoreError
from optlab.core.fields import Sizes, flag, integer, number, sizes, text
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.outside.own_models import records, sources
from optlab.outside.own_models.examination import Examined, built, examine, over_runs
from optlab.outside.own_models.records import Argument, Registration

_KEPT = 32
"""Number of laid-out models to remember, and of modules that a thread keeps ready."""


class OwnModel(Model):
    """Base of all models that wrap a torch module of the user's own."""

    registration: ClassVar[Registration]

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
        examined = _examined(self, cls, shape)
        key = (
            self,
            shape.inputs,
            tuple(parameter.shape for parameter in examined.layout.parameters),
        )
        while len(_laid_out) >= _KEPT and key not in _laid_out:
            _laid_out.pop(next(iter(_laid_out)), None)
        _laid_out[key] = (shape, examined, sources.takes(cls, "inputs"))
        return examined.layout

    def has_built_start(self) -> bool:
        return True

    def built_start(self, shape: DataShape, generator: torch.Generator) -> torch.Tensor:
        cls: Any = sources.load(self.registration)
        seed = int(torch.randint(2**31, (1,), generator=generator).item())
        module = built(_constructor(self, cls, shape), _description(self), seed)
        return torch.cat(
            [parameter.detach().double().cpu().reshape(-1) for parameter in module.parameters()]
        )

    def files(self) -> tuple[Path, ...]:
        return sources.files_of(self.registration)

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        key = (self, tuple(x.shape[2:]), tuple(tuple(part.shape[1:]) for part in parameters))
        if key not in _laid_out:
            raise ValueError(f"{self.label} must be laid out for data before its forward pass")
        shape, examined, flat = _laid_out[key]
        module = self._module(shape, x, context.training)
        names = [parameter.name for parameter in examined.layout.parameters]
        if flat:
            x = x.flatten(2)
        try:
            if context.trace is not None:
                return self._traced(module, names, parameters, x, context.trace)
            if len(x) == 1:
                return _call(
                    module, names, [part.squeeze(0) for part in parameters], x.squeeze(0)
                ).unsqueeze(0)
            if examined.batched:
                outputs: torch.Tensor = over_runs(module, names)(parameters, x)
                return outputs
            return torch.stack(
                [
                    _call(module, names, list(row[1:]), row[0])
                    for row in zip(x, *parameters, strict=True)
                ]
            )
        except sources.USER_ERRORS as error:
            raise RunFailed(
                f"model.name is '{self.name}': its forward pass failed with "
                f"{sources.explained(error)}."
            ) from error

    def _traced(
        self,
        module: torch.nn.Module,
        names: list[str],
        parameters: list[torch.Tensor],
        x: torch.Tensor,
        trace: Trace,
    ) -> torch.Tensor:
        """Compute one run after the other, and trace the output ``[R, m, …]`` of each layer."""
        recorded: dict[str, list[torch.Tensor]] = {}
        outputs: list[torch.Tensor] = []

        def recorder(name: str) -> Callable[..., None]:
            def hook(layer: Any, inputs: Any, output: Any) -> None:
                if isinstance(output, torch.Tensor):
                    recorded.setdefault(name, []).append(output)

            return hook

        layers = [
            (name, layer)
            for name, layer in module.named_modules()
            if name and not any(True for _ in layer.children())
        ]
        hooks = [layer.register_forward_hook(recorder(name)) for name, layer in layers]
        try:
            for row in zip(x, *parameters, strict=True):
                outputs.append(_call(module, names, list(row[1:]), row[0]))
        finally:
            for handle in hooks:
                handle.remove()
        for name, values in recorded.items():
            if len(values) == len(x):  # a layer used twice in a pass has no single output
                # Of one run the output itself, so that gradients by it are known.
                trace(name, values[0].unsqueeze(0) if len(values) == 1 else torch.stack(values))
        return torch.stack(outputs)

    def _module(self, shape: DataShape, x: torch.Tensor, training: bool) -> torch.nn.Module:
        """Return a module that belongs to this thread.

        The forward pass puts parameters into it, so two threads must not share one.
        """
        if not hasattr(_thread, "modules"):
            _thread.modules = {}
        kept: dict[Any, torch.nn.Module] = _thread.modules
        key = (self, shape, x.dtype, x.device, training)
        if key not in kept:
            while len(kept) >= _KEPT:
                kept.pop(next(iter(kept)))
            # Constants drawn by the constructor are the same in every module.
            module = built(
                _constructor(self, sources.load(self.registration), shape), _description(self), 0
            )
            kept[key] = module.to(device=x.device, dtype=x.dtype).train(training)
        return kept[key]


_laid_out: dict[tuple[Any, ...], tuple[DataShape, Examined, bool]] = {}
_thread = threading.local()


@functools.lru_cache(maxsize=_KEPT)
def _examined(model: OwnModel, cls: Any, shape: DataShape) -> Examined:
    return examine(
        _constructor(model, cls, shape), shape, sources.takes(cls, "inputs"), _description(model)
    )


def _constructor(
    model: OwnModel, cls: type[torch.nn.Module], shape: DataShape
) -> Callable[[], torch.nn.Module]:
    values = {field.name: getattr(model, field.name) for field in model.fields()}
    return functools.partial(cls, **sources.from_data(cls, shape), **values)


def _description(model: OwnModel) -> str:
    return f"The model {model.name} (class {model.registration.cls})"


def _call(
    module: torch.nn.Module, names: list[str], parameters: list[torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    return cast(
        "torch.Tensor",
        torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x,)),
    )


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
    ]
    if fixed:
        paragraphs.append(f"These arguments keep their defaults: {', '.join(fixed)}.")
    body: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": f"Own{registration.cls}",
        "__doc__": "\n\n".join(paragraphs),
        "__annotations__": {a.name: _TYPES[a.kind] for a in usable},
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
