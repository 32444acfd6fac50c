"""An experiment: all components and settings of a run, validated, as one TOML file.

A file names components of the registry and their fields, never code. Reading a file and writing it
again gives the same experiment, and two equal experiments on the same device give the same numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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
from optlab.catalogue.initializers.base import Start
from optlab.catalogue.instruments.base import INSTRUMENTS, Instrument, chosen, declared
from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import Model
from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.pretraining.base import Pretraining
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.stopping.base import Stopping
from optlab.core import registry, toml
from optlab.core.component import Component
from optlab.core.data import Data, DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field, did_you_mean, shown
from optlab.core.layout import Layout
from optlab.core.reading import read_at_most
from optlab.core.toml import LARGEST_DOCUMENT
from optlab.core.wording import in_sentence
from optlab.experiment import checks, schedules
from optlab.experiment.changes import apply_changes
from optlab.experiment.schedules import SCHEDULES, FieldSchedule
from optlab.experiment.sections import (
    DEFAULTS,
    PLAIN_SECTIONS,
    SECTIONS,
    Budget,
    General,
    MeasurePlan,
    default_initializer,
    default_loss,
    live_fields,
)

FORMAT = 1
"""Version of the file format; files of a newer version are rejected."""


@dataclass(frozen=True)
class Experiment:
    """A validated experiment.

    Build one with :meth:`from_dict`, :meth:`load` or :func:`dataclasses.replace` followed by
    :meth:`check`.
    """

    dataset: Dataset
    model: Model
    loss: Loss
    initializer: Start
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
    schedules: tuple[FieldSchedule, ...] = ()

    media_type: ClassVar[str] = "application/x-optlab-experiment+toml"

    # --- reading --------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, check: bool = True) -> Self:
        """Return the experiment that a file's tables describe; omitted sections are defaults.

        Args:
            values: the tables.
            check: whether to check that the parts fit each other. Without the check no file of the
                user's own is read and no code of theirs is run, see :meth:`reads_outside`; an
                omitted loss is then that for classes where only their data tell the task.

        Raises:
            InvalidInput: a value is not valid; the message names the first one.
        """
        values = dict(values)
        version = values.pop("format", FORMAT)
        if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= FORMAT:
            raise InvalidInput(
                f"format is {shown(version)}, but this OptLab reads formats 1 to {FORMAT}; "
                "a newer OptLab may have written the file.",
                "format",
            )
        known = [*SECTIONS, *PLAIN_SECTIONS, SCHEDULES, INSTRUMENTS]
        tables = {key: values.pop(key) for key in known if key in values}
        for key, table in tables.items():
            if not isinstance(table, Mapping):
                raise InvalidInput(
                    f"{key} is {shown(table)}, but it must be a section, [{key}] with its fields "
                    "below.",
                    key,
                )
        _refuse_unknown(values, known)
        general = General.build(values, "")
        for key in ("dataset", "model"):
            if key not in tables:
                raise InvalidInput(
                    f"The section [{key}] is missing; give it a name, one of: "
                    f"{', '.join(registry.names(key))}.",
                    key,
                )
        dataset = registry.build(Dataset, tables["dataset"])
        model = registry.build(Model, tables["model"])
        parts: dict[str, Component] = {"dataset": dataset, "model": model}
        unread = not check and (dataset.reads_outside() or model.reads_outside())
        task = "classes" if unread else model.target_shape(dataset.shape()).task
        defaults = {
            **DEFAULTS,
            "loss": default_loss(task),
            "initializer": default_initializer(model),
        }
        for key in SECTIONS:
            if key not in parts:
                parts[key] = registry.build(key, {"name": defaults[key], **tables.get(key, {})})
        plain = {
            key: section.build(tables.get(key, {}), key) for key, section in PLAIN_SECTIONS.items()
        }
        filled = cast("dict[str, Any]", {**parts, **plain})
        experiment = cls(
            general=general,
            instruments=chosen(tables.get(INSTRUMENTS, {})),
            schedules=schedules.read(tables.get(SCHEDULES, {})),
            **filled,
        )
        if check:
            experiment.check()
        return experiment

    @classmethod
    def from_toml(cls, document: str, *, check: bool = True) -> Self:
        """Return the experiment of a TOML document.

        Args:
            document: the text.
            check: see :meth:`from_dict`.

        Raises:
            InvalidInput: the document is not TOML, or not a valid experiment.
        """
        try:
            values = toml.parse(document)
        except toml.TOMLProblem as error:
            raise InvalidInput(f"This is not a TOML file: {error}.") from None
        return cls.from_dict(values, check=check)

    @classmethod
    def load(cls, path: Path, *, check: bool = True) -> Self:
        """Return the experiment in a file.

        Args:
            path: of the file.
            check: see :meth:`from_dict`.

        Raises:
            InvalidInput: the file cannot be read or is not valid; the message begins with its path.
        """
        try:
            content = read_at_most(path, LARGEST_DOCUMENT)
        except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
            raise InvalidInput(
                f"{path} cannot be read: {getattr(error, 'strerror', None) or error}."
            ) from None
        if content is None:
            raise InvalidInput(
                f"{path} is larger than {LARGEST_DOCUMENT // 1024} KiB, so it is not an experiment "
                "file; give the path of a TOML file."
            )
        try:
            return cls.from_toml(content.decode("utf-8-sig"), check=check)
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{path} is not a text file in UTF-8 (byte {error.start} is not valid)."
            ) from None
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error}", error.field) from None

    def check(self) -> None:
        """Check that the parts fit each other.

        Raises:
            InvalidInput: they do not.
        """
        for problem in checks.problems(self):
            raise problem

    def reads_outside(self) -> bool:
        """Return whether :meth:`check` reads files or runs code of the user's own."""
        return any(getattr(self, key).reads_outside() for key in SECTIONS)

    def check_data(self, data: Data) -> None:
        """Check what can be known only after the data have been loaded.

        Raises:
            InvalidInput: the model cannot take these inputs, or the stopping rule needs validation
                examples and there are none.
        """
        for problem in checks.data_problems(self, data):
            raise problem

    # --- writing --------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return all tables, with every field."""
        tables: dict[str, Any] = {"format": FORMAT, **self.general.values()}
        for key in SECTIONS:
            part = getattr(self, key)
            tables[key] = {"name": part.name, **part.values()}
        for key in PLAIN_SECTIONS:
            tables[key] = getattr(self, key).values()
        if self.schedules:
            tables[SCHEDULES] = schedules.table(self.schedules)
        if self.instruments:
            tables[INSTRUMENTS] = {
                instrument.name: instrument.values() for instrument in self.instruments
            }
        return tables

    def to_toml(self) -> str:
        """Return the text of the file; :meth:`from_toml` reads an equal experiment from it."""
        return tomli_w.dumps(self.to_dict())

    # --- reading and changing parts by path -----------------------------------------------------

    def with_value(self, path: str, value: Any) -> Experiment:
        """Return a copy with one field changed; see :meth:`with_values`."""
        return self.with_values({path: value})

    def with_values(self, changes: Mapping[str, Any], *, check: bool = True) -> Experiment:
        """Return a copy with several fields changed together.

        The order of the changes does not matter, and only the result is checked.

        Giving a section another ``name`` starts it from that component's defaults; the other
        changes of the section apply to that component. A loss that does not suit changed data or
        another model is replaced by the default one, unless the changes name a loss. So is an
        initializer that the new model does not have, and the default one of the old model.
        ``schedules.optimizer.momentum`` is removed by the text off, and when the section gets a
        component that has no such field.
        ``instruments.conditioning`` is switched by the texts on and off, and by giving one of its
        fields a value (``instruments.conditioning.every``). A title describes the components it was
        given for, so it is dropped when one of them changes, unless the changes give a title.

        Args:
            changes: dotted path (``"optimizer.lr"``, ``"seed"``) → value; texts are parsed by the
                field's kind.
            check: see :meth:`from_dict`; without the check the loss stays as it is.

        Raises:
            InvalidInput: there is no such field, a value is not allowed, or the parts do not fit
                each other.
        """
        tables = self.to_dict()
        apply_changes(tables, changes, fit_loss=check)
        changed = Experiment.from_dict(tables, check=check)
        if "title" in changes or all(
            getattr(changed, section) == getattr(self, section) for section in SECTIONS
        ):
            return changed
        return dataclasses.replace(
            changed, general=changed.general.model_copy(update={"title": ""})
        )

    def with_instrument(self, name: str, values: Mapping[str, Any] | None) -> Experiment:
        """Return a copy in which an instrument is switched on or off (None).

        Fields that are not given have their defaults.

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
        changed = dataclasses.replace(self, instruments=chosen(tables))
        for problem in checks.instrument_problems(changed, changed.layout()):
            raise problem
        return changed

    def layout(self) -> Layout:
        """Return the parameter tensors of the model for these data."""
        return self.model.layout(self.dataset.shape())

    def target_shape(self) -> DataShape:
        """Return the shape of the data, with the model's own targets if it sets any."""
        return self.model.target_shape(self.dataset.shape())

    def live_fields(self) -> dict[str, Field]:
        """Return path → field of every number that can be changed during a run."""
        return {
            f"{section}.{field.name}": field
            for section in SECTIONS
            for field in live_fields(section, type(getattr(self, section)))
        }

    def title(self) -> str:
        """Return its title, or a short description where it has none."""
        if self.general.title:
            return self.general.title
        rest = (in_sentence(part.short_label()) for part in (self.model, self.optimizer))
        return " · ".join((self.dataset.short_name(), *rest))


def _refuse_unknown(values: Mapping[str, Any], sections: Sequence[str]) -> None:
    """Raise an error for the first key that is no field of an experiment."""
    for key in values:
        if key not in General.model_fields:
            top = [*General.model_fields, "format"]
            raise InvalidInput(
                f"{shown(key)} is not part of an experiment"
                f"{did_you_mean(key, [*top, *sections])}; its sections are {', '.join(sections)} "
                f"and its own fields {', '.join(top)}.",
                key,
            )
