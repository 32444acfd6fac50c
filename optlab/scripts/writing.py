"""A run as a script of plain PyTorch, in sections that are cells of a notebook, too."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from optlab.catalogue.models.capabilities import ImportedModule, WrittenModule
from optlab.catalogue.optimizers._imported import ImportedRule
from optlab.core.errors import InvalidInput
from optlab.core.limits import UNTIL_STOPPED
from optlab.experiment import Experiment
from optlab.scripts import imported_rules, said
from optlab.scripts.arrays import arrays_of
from optlab.scripts.loop import Loop
from optlab.scripts.rules import WrittenRule
from optlab.scripts.source_text import double_quoted, text
from optlab.scripts.specialize import Specializer
from optlab.scripts.strategies import epoch_order, following, method
from optlab.training.trainer import Trainer

DATA = "__DATA__"
"""Stands for the file beside a script in its sections."""
_LOADED = (f"with np.load({DATA}) as file:", "    data = dict(file)")


@dataclass(frozen=True)
class Section:
    """A part of a script: a cell of a notebook.

    Attributes:
        title: of the part. code: its source, without an end of line.
    """

    title: str
    code: str


@dataclass(frozen=True)
class Script:
    """A run as a program.

    Attributes:
        title: of the run. about: sentences about the program.
        sections: in order; :data:`DATA` stands for the file beside it.
        arrays: what it reads from that file, by name.
        files: what it imports from beside it: path relative to its folder → content.
        packages: the installed packages from which it imports: name → what they have.
    """

    title: str
    about: tuple[str, ...]
    sections: tuple[Section, ...]
    arrays: Mapping[str, NDArray[Any]]
    files: Mapping[str, bytes] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)

    def text(self, data: str, folder: str = "") -> str:
        """Return the program.

        Args:
            data: name of the file beside it, or the whole path of a file elsewhere.
            folder: where what it imports lies, if that is not its own folder.
        """
        about = "\n\n".join(textwrap.fill(one, 98) for one in self.about)
        head = f"{self.title}\n\n{about}\n".replace("\\", "\\\\").replace('"""', "'''")
        parts = [f'"""{head}"""']
        if folder and self.files:
            where = json.dumps(folder, ensure_ascii=False)
            parts += [f"import sys\n\nsys.path.insert(0, {where})  # where its imports are"]
        parts += [
            f"# {section.title}\n# {'-' * len(section.title)}\n\n{section.code}"
            for section in self.sections
        ]
        beside = f'Path(__file__).with_name("{data}")'
        if Path(data).is_absolute():
            beside = json.dumps(data, ensure_ascii=False)
        return "\n\n\n".join(parts).replace(DATA, beside) + "\n"


def script(
    experiment: Experiment, *, steps: int | None = None, about: Sequence[str] = ()
) -> Script:
    """Write an experiment as a script.

    Args:
        experiment: to repeat. steps: number of steps that its run took, where it is known.
        about: sentences for the head of the script.

    Raises:
        InvalidInput: a part of it cannot be written; the sentence says which.
    """
    check(experiment)
    if steps is None and (experiment.budget.seconds or experiment.budget.steps >= UNTIL_STOPPED):
        raise InvalidInput(
            "budget has no number of steps that a script could repeat; set budget.steps and "
            "budget.seconds = 0, or export a run of it that has ended.",
            "budget.steps",
        )
    trainer = Trainer([experiment.with_value("device", "cpu")])
    return _Writer(trainer, steps or trainer.requested[0].budget.steps).script(about)


def check(experiment: Experiment) -> None:
    """Make sure that an experiment can be written as a script, without loading its data.

    Raises:
        InvalidInput: a part of it cannot be written.
    """
    module = experiment.model.as_module(experiment.dataset.shape())
    if module is None:
        raise InvalidInput(
            f"model.name is '{experiment.model.name}', which cannot be written as a script.",
            "model.name",
        )
    imported = module.imported
    if imported is not None and imported.changes and experiment.continuation.active:
        raise InvalidInput(
            f"continuation.name is '{experiment.continuation.name}', which passes several times "
            f"through the model in a step; the model '{experiment.model.name}' changes buffers in "
            "each pass, so the two cannot be written as a script.",
            "continuation.name",
        )
    if not experiment.loss.written(experiment.target_shape().task):
        raise InvalidInput(
            f"loss.name is '{experiment.loss.name}', which cannot be written as a script.",
            "loss.name",
        )
    _rule(experiment, module)
    needs_norm = "gradient_norm()" in method(experiment.stopping, "verdict")
    if needs_norm and (experiment.batches.streams or experiment.model.uses_surrogate_gradient()):
        raise InvalidInput(
            f"stopping.name is '{experiment.stopping.name}', which takes the gradient on all "
            "examples; where a step draws examples or states, it cannot be written as a script.",
            "stopping.name",
        )


def _rule(
    experiment: Experiment, module: WrittenModule, to: Specializer | None = None
) -> WrittenRule:
    """Return the optimizer of an experiment as source."""
    layout = experiment.layout()
    fields, beside = changing(experiment), {} if module.imported is None else module.imported.files
    imported = experiment.optimizer.as_import(layout, experiment.general.precision, fields, beside)
    if imported is not None and module.imported is None:
        names = [one.name for one in layout.parameters]
        if names != said.parameter_names(module.source):
            imported = _in_order(imported, names)
    return WrittenRule(experiment.optimizer, fields, to, imported)


def _in_order(rule: ImportedRule, names: list[str]) -> ImportedRule:
    """Return an optimizer that is given the parameters in an order of its own."""
    ordered = f"in_order = [dict(model.named_parameters())[name] for name in {names}]"
    creation = re.sub(r"\bparameters\b", "in_order", rule.creation, count=1)
    return replace(rule, before=(*rule.before, ordered), creation=creation)


def changing(experiment: Experiment) -> set[str]:
    """Return the fields of the optimizer that change during a run."""
    fields = {one.name for one in experiment.schedules if one.section == "optimizer"}
    return fields if experiment.schedule.constant else {*fields, "lr"}


class _Writer:
    """Writes the sections of one run.

    Args:
        trainer: of the run, before its first step. steps: of the run.
    """

    def __init__(self, trainer: Trainer, steps: int) -> None:
        self._trainer = trainer
        self._experiment = trainer.requested[0]
        self._steps = steps
        module = self._experiment.model.as_module(self._experiment.dataset.shape())
        assert module is not None
        self._module = module
        self._arrays = arrays_of(trainer, steps)
        self._to = Specializer()
        self._examples = said.examples(
            self._experiment.dataset,
            self._experiment.general.precision,
            self._arrays,
            self._to,
        )
        self._start = None
        if module.imported is None:
            self._start = said.start(
                self._experiment.initializer,
                trainer.layout,
                (self._experiment.general.seed, module.source),
                self._arrays,
                self._to,
            )
        said_too = {
            *(("x_train", "y_train", "x_validation", "y_validation", "x_test", "y_test")
              if self._examples else ()),
            *((name for name in self._arrays if name.startswith("start/")) if self._start else ()),
        }  # fmt: skip
        self._arrays = {name: value for name, value in self._arrays.items() if name not in said_too}
        self._rule = _rule(self._experiment, module, self._to)
        self._numbers = self._following()
        scheduled = {path for path, _ in self._numbers}
        self._loop = Loop(trainer, self._rule, module, scheduled, self._to)
        self._strategies = [*self._schedules(), *self._loop.strategies()]
        order = self._experiment.batches
        self._order = None if order.streams else epoch_order(order, self._to)

    def script(self, about: Sequence[str]) -> Script:
        """Return the script."""
        sections: list[tuple[str, list[str]]] = [
            ("Random numbers", self._generator()),
            ("Data", self._data()),
            ("Model", self._model()),
            ("Optimizer", self._optimizer()),
            ("Schedules and other strategies", self._strategies),
            ("Batches", self._batches()),
            ("Evaluation", self._loop.evaluation()),
            ("Training", self._loop.training()),
            ("Results", self._loop.results()),
        ]
        sections.insert(
            0, ("Settings", self._settings([one for _, code in sections for one in code]))
        )
        return Script(
            self._experiment.title(),
            tuple(about),
            tuple(
                Section(title, double_quoted("\n".join(code)).strip("\n"))
                for title, code in sections
                if code
            ),
            self._arrays,
            *self._imports(),
        )

    def _imports(self) -> tuple[Mapping[str, bytes], Mapping[str, str]]:
        """Return the files that the script imports, and package → what it imports from it."""
        files: dict[str, bytes] = {}
        packages: dict[str, str] = {}
        imported = {"the model": self._module.imported, "the optimizer": self._rule.imported}
        for what, one in imported.items():
            if one is not None:
                files |= one.files
            if one is not None and one.package:
                packages[one.package] = " and ".join(
                    filter(None, [packages.get(one.package, ""), what])
                )
        return files, packages

    def _settings(self, code: Sequence[str]) -> list[str]:
        """Return imports and constants.

        Args:
            code: of the other sections, which shows what they need.
        """
        experiment, trainer = self._experiment, self._trainer
        asked = set(re.findall(r"\w+", "\n".join(code))) | {"torch"}
        asked |= {"Path"} if DATA in asked else set()
        imports = [one for one in said.IMPORTS if not one or one.split()[-1] in asked]
        if not imports[0]:
            del imports[0]
        if self._rule.module:
            imports.append(f"import {self._rule.module}")
        settings = [f"torch.set_num_threads({experiment.general.threads})"]
        if self._module.imported is None:
            settings += [f"torch.set_default_dtype(torch.{experiment.general.precision})"]
        settings += [
            "",
            f"SEED = {experiment.general.seed}",
            f"STEPS = {self._steps}",
            f"BATCH = {trainer.batch}",
            f"STEPS_PER_EPOCH = {trainer.steps_per_epoch}",
            f"EVALUATE_EVERY = {experiment.measures.evaluate_every or trainer.steps_per_epoch}",
        ]
        decay = {"l2": "of ½ the squared weights", "l1": "of the absolute weights"}
        for name, of in decay.items():
            value = getattr(experiment.loss, name)
            if value or f"loss.{name}" in self._loop.scheduled:
                settings.append(f"{name.upper()} = {value!r}  # weight decay: factor {of}")
        return [*imports, "", *settings]

    def _data(self) -> list[str]:
        if self._examples is not None:
            lines = [] if not self._arrays else [*_LOADED, "", ""]
            return [*lines, *self._examples, *self._train(), *self._stream()]
        words = "Inputs are as the run saw them: split, filled and scaled."
        parts = [name for name in ("train", "validation", "test") if f"x_{name}" in self._arrays]
        lines = [f"# {words}", *_LOADED]
        lines += [
            "parts = {",
            *(f"    {name!r}: ({_array(f'x_{name}')}, {_array(f'y_{name}')})," for name in parts),
            "}",
        ]
        return [*lines, *self._train(), *self._stream()]

    @staticmethod
    def _train() -> list[str]:
        return ["x_train, y_train = parts['train']", "N = len(x_train)"]

    def _stream(self) -> list[str]:
        if "x_stream" not in self._arrays:
            return []
        return [
            "# every example that the run drew, in order",
            f"x_stream, y_stream = {_array('x_stream')}, {_array('y_stream')}",
        ]

    def _model(self) -> list[str]:
        if self._module.imported is not None:
            return self._imported_model(self._module, self._module.imported)
        lines = [*self._module.source.rstrip("\n").splitlines(), "", "", "model = Net()"]
        if self._start is None:
            lines += [
                "start = {name: torch.tensor(data[f'start/{name}']) for name in model.state_dict()}",
                "model.load_state_dict(start)",
            ]
        else:
            lines += ["", "", *self._start]
        return [*lines, "parameters = list(model.parameters())"]

    def _imported_model(self, module: WrittenModule, imported: ImportedModule) -> list[str]:
        """Return the lines that build a model whose class is imported."""
        creation = text(ast.parse(f"model = {module.creation}"))
        trained = "list(model.parameters())"
        if imported.frozen:
            trained = "[one for one in model.parameters() if one.requires_grad]"
        return [
            *module.source.rstrip("\n").splitlines(),
            "",
            "",
            "# What its constructor draws is replaced by the start of the run, or drawn as there.",
            *imported.seeds,
            *creation.splitlines(),
            f"model = model.to(torch.{self._experiment.general.precision})",
            "values = {**dict(model.named_parameters()), **dict(model.named_buffers())}",
            "with torch.no_grad():",
            "    for name in data:",
            "        if name.startswith('start/'):",
            "            value = values[name.removeprefix('start/')]",
            "            value.copy_(torch.tensor(data[name]).view_as(value))",
            f"parameters = {trained}",
        ]

    def _optimizer(self) -> list[str]:
        own = self._rule.imported
        if own is not None:
            plain = []
            if self._module.imported is None and self._experiment.general.precision != "float32":
                plain = [
                    "torch.set_default_dtype(torch.float32)  # for what the optimizer makes",
                    "",
                ]
            return [*plain, *imported_rules.made(own)]
        definition = self._rule.definition.splitlines()
        creation = self._rule.creation
        if self._module.imported is not None and self._module.imported.frozen:
            creation = creation.replace("model.parameters()", "parameters")
        return [
            *definition,
            *(["", ""] if definition else []),
            f"optimizer = {creation}",
        ]

    def _following(self) -> list[tuple[str, str]]:
        """Return path and function of every number that follows a schedule of its own."""
        found = []
        for one in self._experiment.schedules:
            base = getattr(getattr(self._experiment, one.section), one.name)
            source = following(f"{one.name}_at", one.function, base, self._steps, self._arrays)
            found.append((one.path, source))
        return found

    def _schedules(self) -> list[str]:
        experiment = self._experiment
        parts: list[str] = []
        schedule = experiment.schedule
        if schedule.watches:
            parts += [
                method(schedule, "observed", to=self._to),
                method(schedule, "rate_given", "rate", self._to),
            ]
        elif not schedule.constant:
            function = getattr(schedule, "function", None)
            lr = float(getattr(experiment.optimizer, "lr", 0.0))
            if function is not None:
                parts.append(following("rate", function, lr, self._steps, self._arrays))
            else:
                parts.append(method(schedule, "rate", to=self._to))
        parts += [source for _, source in self._numbers]
        return _apart(parts)

    def _generator(self) -> list[str]:
        """Return the source of random numbers by purpose, if anything asks for it."""
        asking = [
            *self._loop.training(),
            *self._strategies,
            *(self._start or ()),
            *(self._order or ("",))[:1],
        ]
        return list(said.GENERATOR) if any("generator(" in str(one) for one in asking) else []

    def _batches(self) -> list[str]:
        if self._order is None:
            return []
        source, by_target, difficulty = self._order
        parts = []
        if by_target:
            parts.append(
                "by_target = (y_train if y_train.dim() == 1 else y_train[:, 0]).argsort(stable=True)"
            )
        if difficulty:
            parts.append(
                "# the loss of each example under a linear model that was fitted to all\n"
                f"difficulty = {_array('difficulty')}"
            )
        return _apart([*parts, source])


def _array(name: str) -> str:
    return f"torch.tensor(data[{name!r}])"


def _apart(parts: Iterable[str]) -> list[str]:
    return "\n\n\n".join(parts).splitlines()
