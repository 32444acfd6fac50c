"""An experiment: everything that was asked for, validated, as one TOML file.

A file names registry entries and their fields, never code. Reading a file and writing it again
gives the same experiment, and two equal experiments on the same device give the same numbers.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import tomli_w

from optlab.catalogue.averaging.base import Averaging
from optlab.catalogue.batches.base import Batches
from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.continuation.base import Continuation
from optlab.catalogue.datasets.base import Dataset
from optlab.catalogue.delays.base import Delay
from optlab.catalogue.initializers.base import Initializer
from optlab.catalogue.instruments.base import INSTRUMENTS, Instrument, Setting, chosen, declared
from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import Model
from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer
from optlab.catalogue.pretraining.base import Pretraining
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.stopping.base import Stopping
from optlab.core import registry
from optlab.core.data import Data, DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field, did_you_mean, shown
from optlab.core.layout import Layout
from optlab.experiment.sections import (
    DEFAULTS,
    LIVE_SECTIONS,
    PLAIN_SECTIONS,
    SECTIONS,
    Budget,
    General,
    MeasurePlan,
    default_loss,
)

FORMAT = 1
"""Version of the file format; a file of a newer one is refused in words."""

LARGEST_FILE = 262_144
"""Bytes that an experiment file may have; the largest sensible one has a hundredth of it."""

LARGEST_MODEL = 200_000_000
"""Parameters that a model may have: more would not fit the memory of the machines this is made for.
"""


@dataclass(frozen=True)
class Experiment:
    """A validated experiment.

    Build one with :meth:`from_dict`, :meth:`load` or :func:`dataclasses.replace` followed by
    :meth:`check`.
    """

    dataset: Dataset
    model: Model
    loss: Loss
    initializer: Initializer
    pretraining: Pretraining
    optimizer: Optimizer
    schedule: Schedule
    clipping: Clipping
    batches: Batches
    stopping: Stopping
    averaging: Averaging
    delay: Delay
    continuation: Continuation
    general: General = dataclasses.field(default_factory=General)
    budget: Budget = dataclasses.field(default_factory=Budget)
    measures: MeasurePlan = dataclasses.field(default_factory=MeasurePlan)
    instruments: tuple[Instrument, ...] = ()

    media_type: ClassVar[str] = "application/x-optlab-experiment+toml"

    # --- reading -------------------------------------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The experiment that a file's tables describe; sections that are left out take their
        defaults.

        Raises:
            InvalidInput: in one sentence, the first thing that is wrong.
        """
        values = dict(values)
        version = values.pop("format", FORMAT)
        if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= FORMAT:
            raise InvalidInput(
                f"format is {shown(version)}, but this OptLab reads formats 1 to {FORMAT}; a newer OptLab may have written the file.",
                "format",
            )
        known = [*SECTIONS, *PLAIN_SECTIONS, INSTRUMENTS]
        tables = {key: values.pop(key) for key in known if key in values}
        for key, table in tables.items():
            if not isinstance(table, Mapping):
                raise InvalidInput(
                    f"{key} is {shown(table)}, but it must be a section, [{key}] with its fields below.",
                    key,
                )
        for key in values:
            if key not in General.model_fields:
                top = [*General.model_fields, "format"]
                raise InvalidInput(
                    f"{shown(key)} is not part of an experiment{did_you_mean(key, [*top, *known])}; its sections are {', '.join(known)} and "
                    f"its own fields {', '.join(top)}.",
                    key,
                )
        general = General.build(values, "")
        for key in ("dataset", "model"):
            if key not in tables:
                raise InvalidInput(
                    f"The section [{key}] is missing; give it a name, one of: {', '.join(registry.names(key))}.",
                    key,
                )
        parts = {key: registry.build(key, tables[key]) for key in ("dataset", "model")}
        task = (
            cast(Model, parts["model"]).target_shape(cast(Dataset, parts["dataset"]).shape()).task
        )
        defaults = {**DEFAULTS, "loss": default_loss(task)}
        for key in SECTIONS:
            if key not in parts:
                parts[key] = registry.build(key, {"name": defaults[key], **tables.get(key, {})})
        plain = {
            key: section.build(tables.get(key, {}), key) for key, section in PLAIN_SECTIONS.items()
        }
        filled = cast("dict[str, Any]", {**parts, **plain})
        experiment = cls(general=general, instruments=chosen(tables.get(INSTRUMENTS, {})), **filled)
        experiment.check()
        return experiment

    @classmethod
    def from_toml(cls, document: str) -> Self:
        """The experiment of a TOML document.

        Raises:
            InvalidInput: not TOML, or not a valid experiment.
        """
        try:
            values = tomllib.loads(document)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise InvalidInput(
                f"This is not a TOML file: {str(error) or 'it is nested too deeply'}."
            ) from None
        return cls.from_dict(values)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The experiment in a file.

        Raises:
            InvalidInput: the file cannot be read or is wrong; the message begins with its path.
        """
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from None
        if len(content) > LARGEST_FILE:
            raise InvalidInput(
                f"{path} is larger than {LARGEST_FILE // 1024} KiB, so it is no experiment file."
            )
        try:
            return cls.from_toml(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{path} is not a text file in UTF-8 (byte {error.start} does not fit)."
            ) from None
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error}", error.field) from None

    def check(self) -> None:
        """Whether the parts fit each other.

        Raises:
            InvalidInput: they do not.
        """
        task = self.target_shape().task
        setter = (
            f"dataset {self.dataset.name!r}"
            if task == self.dataset.shape().task
            else f"model {self.model.name!r}"
        )
        if task not in self.loss.tasks:
            fitting = ", ".join(
                loss.name
                for loss in registry.components("loss")
                if task in cast(type[Loss], loss).tasks
            )
            raise InvalidInput(
                f"loss.name is {self.loss.name!r}, which needs targets that are {' or '.join(self.loss.tasks)}, but those of {setter} are {task}; "
                f"use {fitting}.",
                "loss.name",
            )
        if task not in self.stopping.tasks:
            raise InvalidInput(
                f"stopping.name is {self.stopping.name!r}, which looks at the 0-1 error, but {setter} has none ({task}); use never.",
                "stopping.name",
            )
        if self.stopping.needs_validation and self.dataset.validation == 0.0:
            raise InvalidInput(
                f"stopping.name is {self.stopping.name!r}, which looks at the validation part, but dataset.validation is 0; make it larger, or use never.",
                "stopping.name",
            )
        if isinstance(self.optimizer, ObjectiveOptimizer):
            for section, inactive in (
                ("clipping", not self.clipping.active),
                ("delay", not self.delay.active),
                ("continuation", not self.continuation.active),
            ):
                if not inactive:
                    raise InvalidInput(
                        f"{section}.name is {getattr(self, section).name!r}, but "
                        f"{self.optimizer.label} evaluates the objective directly and cannot be "
                        f'combined with {section}; set {section}.name = "none".',
                        f"{section}.name",
                    )
            if self.model.uses_surrogate_gradient():
                raise InvalidInput(
                    f"optimizer.name is {self.optimizer.name!r}, which asks for values of the objective, but model {self.model.name!r} as it is set follows a "
                    "gradient that is not that of its loss; use an optimizer that takes gradients alone, such as momentum.",
                    "optimizer.name",
                )
            if self.optimizer.needs_predictions and self.model.has_own_loss():
                raise InvalidInput(
                    f"optimizer.name is {self.optimizer.name!r}, which needs the distribution that the model predicts for each example's target, but model "
                    f"{self.model.name!r} as it is set has a loss of its own and predicts none; use another optimizer.",
                    "optimizer.name",
                )
            if self.optimizer.needs_predictions and not self.loss.likelihood():
                raise InvalidInput(
                    f"loss.name is {self.loss.name!r}, which is no negative log-likelihood, but {self.optimizer.label} needs the distribution that the model "
                    "predicts; use another loss or another optimizer.",
                    "loss.name",
                )
            if self.optimizer.needs_predictions and self.model.auxiliary_weight() != 0.0:
                raise InvalidInput(
                    f"model.auxiliary is {self.model.auxiliary_weight():g}, but {self.optimizer.label} knows the predictions of the last head only; make it 0, "
                    "or use another optimizer.",
                    "model.auxiliary",
                )
        if self.pretraining.active:
            self._check_pretraining()
        if self.dataset.validation + self.dataset.test >= 1.0:
            raise InvalidInput(
                f"dataset.validation ({self.dataset.validation:g}) and dataset.test ({self.dataset.test:g}) leave nothing to train on; they must add up "
                "to less than 1.",
                "dataset.validation",
            )
        if self.batches.streams and not self.dataset.endless:
            endless = ", ".join(
                dataset.name
                for dataset in registry.components("dataset")
                if cast(type[Dataset], dataset).endless
            )
            raise InvalidInput(
                f"batches.name is {self.batches.name!r}, which draws fresh examples for ever, but the distribution of dataset {self.dataset.name!r} is not "
                f"known; use a data set that is generated ({endless}) or another sampling order.",
                "batches.name",
            )
        layout = self.layout()
        if layout.total > LARGEST_MODEL:
            raise InvalidInput(
                f"The model has {layout.total:,} parameters, but at most {LARGEST_MODEL:,} are allowed; make model.{self._size_field()} smaller.",
                f"model.{self._size_field()}",
            )
        reason = self.optimizer.refusal(layout.total)
        if reason:
            raise InvalidInput(reason, "optimizer.name")
        for name in self.measures.chosen:
            layout.weight_index(name)
        self._check_instruments(layout)

    def check_data(self, data: Data) -> None:
        """Check what can be known only when the data are loaded.

        Raises:
            InvalidInput: the model cannot take these inputs, or the stopping rule finds no
                validation example.
        """
        reason = self.model.refusal(float(data.training.x.min()), float(data.training.x.max()))
        if reason:
            raise InvalidInput(reason, "dataset.unit_range")
        if self.stopping.needs_validation and not len(data.validation):
            raise InvalidInput(
                f"stopping.name is {self.stopping.name!r}, which looks at the validation part, but dataset.validation is {self.dataset.validation:g}, which "
                f"of {sum(len(part) for part in (data.training, data.test)):,} examples is none; make it larger, or use never.",
                "stopping.name",
            )

    def _check_instruments(self, layout: Layout) -> None:
        if not self.instruments:
            return
        shape = self.target_shape()
        setting = Setting(
            shape,
            layout.total,
            validation=self.dataset.validation > 0.0,
            clips=self.clipping.active,
            probabilities=type(self.loss).probabilities is not Loss.probabilities
            and not self.model.has_own_loss(),
            sequence=len(self.dataset.shape().inputs) == 2,
        )
        for instrument in self.instruments:
            reason = instrument.refusal(setting)
            if shape.task not in instrument.tasks:
                reason = f"it exists for targets that are {' or '.join(instrument.tasks)}, but those here are {shape.task}."
            if reason:
                raise InvalidInput(
                    f"The instrument {instrument.name} cannot be switched on: {reason}",
                    f"{INSTRUMENTS}.{instrument.name}",
                )

    def _check_pretraining(self) -> None:
        stack = self.model.stack()
        if stack is None or not stack.layers:
            raise InvalidInput(
                f"pretraining.name is {self.pretraining.name!r}, which learns plain hidden layers one after another, but model {self.model.name!r} as it is "
                "set has none that stand alone (a plain mlp with hidden layers has); use none.",
                "pretraining.name",
            )
        reason = self.pretraining.refusal(stack.activation)
        if reason:
            raise InvalidInput(reason, "pretraining.name")

    def _size_field(self) -> str:
        return next(
            (field.name for field in self.model.fields() if field.kind in ("sizes", "integer")),
            "name",
        )

    # --- writing -------------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All tables, every field written out."""
        tables: dict[str, Any] = {"format": FORMAT, **self.general.values()}
        for key in SECTIONS:
            part = getattr(self, key)
            tables[key] = {"name": part.name, **part.values()}
        for key in PLAIN_SECTIONS:
            tables[key] = getattr(self, key).values()
        if self.instruments:
            tables[INSTRUMENTS] = {
                instrument.name: instrument.values() for instrument in self.instruments
            }
        return tables

    def to_toml(self) -> str:
        """The file's text; :meth:`from_toml` gives an equal experiment back."""
        return tomli_w.dumps(self.to_dict())

    # --- reading and changing parts by path ---------------------------------------------------------------------------------------

    def with_value(self, path: str, value: Any) -> Experiment:
        """Return a copy with one field changed; see :meth:`with_values`."""
        return self.with_values({path: value})

    def with_values(self, changes: Mapping[str, Any]) -> Experiment:
        """Return a copy with several fields changed together; the order of the changes does not
        matter, and only the result is checked.

        Giving a section another ``name`` starts it from that component's defaults; the other
        changes of the section apply to that component. A loss that does not suit changed data or
        another model is replaced by the default one, unless the changes name a loss.
        ``instruments.conditioning`` is switched by the texts on and off, and by giving one of its
        fields a value (``instruments.conditioning.every``). A title describes the components it was
        given for, so it is dropped when one of them changes, unless the changes give a title.

        Args:
            changes: dotted path (``"optimizer.lr"``, ``"seed"``) → value; texts are parsed by the
                field's kind.

        Raises:
            InvalidInput: there is no such field, a value is not allowed, or the parts do not fit
                each other.
        """
        tables = self.to_dict()
        for path in sorted(changes, key=_rank):
            if _rank(path) == 0:
                tables[path.rpartition(".")[0]] = {"name": changes[path]}
            elif _rank(path) == 1:
                _set(tables, path, changes[path])
        if "loss.name" not in changes and any(
            path.startswith(("dataset.", "model.")) for path in changes
        ):
            tables["loss"] = suited_loss(tables)
        for path in sorted(changes, key=_rank):
            if path.startswith(f"{INSTRUMENTS}."):
                _set_instrument(tables.setdefault(INSTRUMENTS, {}), path, changes[path])
            elif _rank(path) > 1:
                _set(tables, path, changes[path])
        changed = Experiment.from_dict(tables)
        if "title" in changes or all(
            getattr(changed, section) == getattr(self, section) for section in SECTIONS
        ):
            return changed
        return dataclasses.replace(
            changed, general=changed.general.model_copy(update={"title": ""})
        )

    def with_instrument(self, name: str, values: Mapping[str, Any] | None) -> Experiment:
        """A copy with an instrument switched on with these fields, the others at their defaults, or
        off (None).

        Raises:
            InvalidInput: there is no such instrument, a value is not allowed, or the instrument
                does not exist for this experiment.
        """
        tables = {instrument.name: instrument.values() for instrument in self.instruments}
        if values is None:
            declared(name)
            tables.pop(name, None)
        else:
            tables[name] = dict(values)
        found = dataclasses.replace(self, instruments=chosen(tables))
        found._check_instruments(found.layout())
        return found

    def layout(self) -> Layout:
        """The parameter tensors of the model on this data."""
        return self.model.layout(self.dataset.shape())

    def target_shape(self) -> DataShape:
        """The shape of the problem: that of the data, unless the model sets itself other targets."""
        return self.model.target_shape(self.dataset.shape())

    def live_fields(self) -> dict[str, Field]:
        """Path → field of every number that may be changed while the run goes."""
        return {
            f"{section}.{field.name}": field
            for section in LIVE_SECTIONS
            for field in getattr(self, section).fields()
            if field.kind in ("number", "integer")
            and not (section == "optimizer" and field.name in self.optimizer.fixed)
        }

    def title(self) -> str:
        """Return its title, or a short description where it has none."""
        return (
            self.general.title
            or f"{self.dataset.short_name()} · {self.model.name} · {self.optimizer.name}"
        )


def suited_loss(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the loss section of an experiment's tables, or the default loss of the task where that
    one does not suit it.

    Raises:
        InvalidInput: data, model or loss cannot be built.
    """
    dataset, model, loss = (
        registry.build(key, tables[key]) for key in ("dataset", "model", "loss")
    )
    task = cast(Model, model).target_shape(cast(Dataset, dataset).shape()).task
    return dict(tables["loss"]) if task in cast(Loss, loss).tasks else {"name": default_loss(task)}


def _rank(path: str) -> int:
    """Return when a change is made among others: components, then what decides the task, then all
    else; an instrument's fields after its switch.
    """
    section, _, key = path.rpartition(".")
    if key == "name" and section in SECTIONS:
        return 0
    return (
        1 if section in ("dataset", "model") else 3 if section.startswith(f"{INSTRUMENTS}.") else 2
    )


def _set(tables: dict[str, Any], path: str, value: Any) -> None:
    section, _, key = path.rpartition(".")
    if not section:
        if key not in General.model_fields:
            places = [
                *General.model_fields,
                *(f"{name}.…" for name in (*SECTIONS, *PLAIN_SECTIONS)),
            ]
            raise InvalidInput(
                f"{shown(key)} is not part of an experiment{did_you_mean(key, places)}; places are: {', '.join(places)}.",
                key,
            )
        tables[key] = _parsed(General.field(key), value, path)
        return
    sections = (*SECTIONS, *PLAIN_SECTIONS)
    if section not in sections:
        raise InvalidInput(
            f"{path}: there is no section {shown(section)}{did_you_mean(section, sections)}; sections are: {', '.join(sections)}.",
            path,
        )
    owner = PLAIN_SECTIONS.get(section) or registry.get(section, tables[section]["name"])
    tables[section][key] = (
        _parsed(owner.field(key), value, path) if key in owner.model_fields else value
    )


def _set_instrument(tables: dict[str, Any], path: str, value: Any) -> None:
    _, name, *rest = path.split(".")
    instrument = declared(name)
    if rest:
        key = ".".join(rest)
        tables.setdefault(name, {})[key] = (
            _parsed(instrument.field(key), value, path) if key in instrument.model_fields else value
        )
    elif value == "on":
        tables.setdefault(name, {})
    elif value == "off":
        tables.pop(name, None)
    else:
        raise InvalidInput(
            f"{path} is {shown(value)}, but it must be on or off; a schedule is set as {path}.every.",
            path,
        )


def _parsed(field: Field, value: Any, path: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return field.parse(value)
    except (ValueError, KeyError):
        raise InvalidInput(
            f"{path} is {shown(value)}, but it must be {field.allowed}.", path
        ) from None
