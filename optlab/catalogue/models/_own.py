"""Component classes made of registered modules: parameters in the flat vector, the forward pass by
``torch.func.functional_call``.

Listing them reads the registrations and nothing else; the user's file is executed when a model is
first laid out for data.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, ClassVar, cast

from optlab.catalogue.models.base import ForwardContext, Model, Trace
from optlab.core.data import DataShape
from optlab.core.errors import RunFailed, StoreError
from optlab.core.fields import Sizes, flag, integer, number, sizes, text
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.outside.own_models import records, sources
from optlab.outside.own_models.examination import Examined, built, examine, over_runs
from optlab.outside.own_models.records import Argument, Registration

_KEPT = 32
"""Laid-out models that are remembered, and modules that a thread keeps ready."""


class OwnModel(Model):
    """Base of all models that are modules of the user's."""

    registration: ClassVar[Registration]

    def layout(self, shape: DataShape) -> Layout:
        # asked each time: a confirmation may have been taken back
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

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        key = (self, tuple(x.shape[2:]), tuple(tuple(part.shape[1:]) for part in parameters))
        if key not in _laid_out:
            raise ValueError(f"{self.label} is laid out for data before its forward pass")
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
                together: torch.Tensor = over_runs(module, names)(parameters, x)
                return together
            return torch.stack(
                [
                    _call(module, names, list(row[1:]), row[0])
                    for row in zip(x, *parameters, strict=True)
                ]
            )
        except sources.USER_ERRORS as error:
            raise RunFailed(
                f"model.name is '{self.name}': its forward pass failed with {sources.explained(error)}."
            ) from error

    def _traced(
        self,
        module: torch.nn.Module,
        names: list[str],
        parameters: list[torch.Tensor],
        x: torch.Tensor,
        trace: Trace,
    ) -> torch.Tensor:
        """One run after the other, with what each layer gives told as ``[R, m, …]``."""
        told: dict[str, list[torch.Tensor]] = {}
        outputs: list[torch.Tensor] = []

        def watch(name: str) -> Callable[..., None]:
            def hook(layer: Any, inputs: Any, given: Any) -> None:
                if isinstance(given, torch.Tensor):
                    told.setdefault(name, []).append(given)

            return hook

        layers = [
            (name, layer)
            for name, layer in module.named_modules()
            if name and not any(True for _ in layer.children())
        ]
        hooks = [layer.register_forward_hook(watch(name)) for name, layer in layers]
        try:
            for row in zip(x, *parameters, strict=True):
                outputs.append(_call(module, names, list(row[1:]), row[0]))
        finally:
            for handle in hooks:
                handle.remove()
        for name, values in told.items():
            if len(values) == len(x):  # a layer used twice in a pass has no single result
                trace(name, torch.stack(values))
        return torch.stack(outputs)

    def _module(self, shape: DataShape, x: torch.Tensor, training: bool) -> torch.nn.Module:
        """A module of this thread's own: the forward pass puts parameters into it, so two threads
        must not share one.
        """
        if not hasattr(_here, "modules"):
            _here.modules = {}
        kept: dict[Any, torch.nn.Module] = _here.modules
        key = (self, shape, x.dtype, x.device, training)
        if key not in kept:
            while len(kept) >= _KEPT:
                kept.pop(next(iter(kept)))
            with torch.random.fork_rng(devices=[]):
                # constants drawn by the constructor are the same in every module
                torch.manual_seed(0)
                made = built(_maker(self, sources.load(self.registration), shape), _called(self))
            kept[key] = made.to(device=x.device, dtype=x.dtype).train(training)
        return kept[key]


_laid_out: dict[tuple[Any, ...], tuple[DataShape, Examined, bool]] = {}
_here = threading.local()


@functools.lru_cache(maxsize=_KEPT)
def _examined(model: OwnModel, cls: Any, shape: DataShape) -> Examined:
    return examine(_maker(model, cls, shape), shape, sources.takes(cls, "inputs"), _called(model))


def _maker(
    model: OwnModel, cls: type[torch.nn.Module], shape: DataShape
) -> Callable[[], torch.nn.Module]:
    values = {field.name: getattr(model, field.name) for field in model.fields()}
    return functools.partial(cls, **sources.from_data(cls, shape), **values)


def _called(model: OwnModel) -> str:
    return f"The model {model.name} (class {model.registration.cls})"


def _call(
    module: torch.nn.Module, names: list[str], parameters: list[torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    return cast(
        "torch.Tensor",
        torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x,)),
    )


# --- from registrations to classes ---------------------------------------------------------------------------------------------------


def found() -> tuple[list[type[Model]], dict[str, str]]:
    """A component class for each registered model, and name → why it cannot be used."""
    try:
        registrations = records.read()
    except StoreError as error:
        return [], {f"{records.PREFIX}…": str(error)}
    return [made(registration) for registration in registrations], {}


@functools.cache
def made(registration: Registration) -> type[OwnModel]:
    """The component class of a registered model; one for good, however often the catalogue is
    walked.
    """
    reserved = frozenset(dir(OwnModel))
    usable = [
        a
        for a in registration.arguments
        if a.name not in reserved and not a.name.startswith(("_", "model_"))
    ]
    fixed = [*registration.fixed, *(a.name for a in registration.arguments if a not in usable)]
    paragraphs = [
        f"The class {registration.cls} of your own, registered on this machine.",
        f"It is executed from {registration.origin} as long as the file is the one that was confirmed. Its parameters start by the initializer of the "
        "experiment, not by its constructor.",
    ]
    if fixed:
        paragraphs.append(f"These arguments stay at their defaults: {', '.join(fixed)}.")
    body: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": f"Own{registration.cls}",
        "__doc__": "\n\n".join(paragraphs),
        "__annotations__": {a.name: _TYPES[a.kind] for a in usable},
        "name": f"{records.PREFIX}{registration.name}",
        "label": f"{registration.cls} (own.{registration.name})",
        "group": "Your own",
        "sort_order": 500,
        "source": f"The user's own: {registration.origin}, SHA-256 {registration.sha256}.",
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
