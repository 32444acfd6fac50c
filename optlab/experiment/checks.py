"""Rules that the parts of an experiment must obey together, each a small function.

A rule belongs to one capability that a component declares (``needs_validation``, ``streams``,
``needs_predictions`` …); the components themselves answer what only they can know (``refusal``).
Rules yield the errors they find, in the order in which a person should correct them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from optlab.catalogue.datasets.base import Dataset
from optlab.catalogue.instruments.base import INSTRUMENTS, Setting
from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import Model
from optlab.catalogue.optimizers.base import ObjectiveOptimizer
from optlab.core import registry
from optlab.core.data import Data
from optlab.core.errors import InvalidInput
from optlab.core.layout import Layout
from optlab.core.limits import MAX_PARAMETERS, MAX_TABLE
from optlab.experiment import schedules

if TYPE_CHECKING:
    from optlab.experiment.experiment import Experiment

Problems = Iterator[InvalidInput]


def problems(experiment: Experiment) -> Problems:
    """Yield what does not fit in an experiment, before its data are loaded."""
    for rule in _RULES:
        yield from rule(experiment)
    layout = experiment.layout()
    for layout_rule in _LAYOUT_RULES:
        yield from layout_rule(experiment, layout)


def data_problems(experiment: Experiment, data: Data) -> Problems:
    """Yield what does not fit in an experiment, given its data."""
    low, high = float(data.training.x.min()), float(data.training.x.max())
    reason = experiment.model.refusal(low, high)
    if reason:
        yield InvalidInput(reason, "dataset.unit_range")
    optimizer = experiment.optimizer
    if isinstance(optimizer, ObjectiveOptimizer) and optimizer.needs_examples:
        values = len(data.training) * experiment.layout().total
        if values > MAX_TABLE:
            yield InvalidInput(
                f"optimizer.name is {optimizer.name!r}, which keeps a gradient of every training "
                f"example: {len(data.training):,} × {experiment.layout().total:,} numbers, but at "
                f"most {MAX_TABLE:,} are allowed; use a smaller model or data set, or svrg.",
                "optimizer.name",
            )
    if experiment.stopping.needs_validation and not len(data.validation):
        examples = len(data.training) + len(data.test)
        yield InvalidInput(
            f"stopping.name is {experiment.stopping.name!r}, which needs validation examples, but "
            f"dataset.validation is {experiment.dataset.validation:g}, which of {examples:,} "
            "examples is none; increase it, or use never.",
            "stopping.name",
        )


# --- rules on components ----------------------------------------------------------------------


def _task_owner(experiment: Experiment) -> str:
    """Return the component that determines the task, for messages."""
    if experiment.target_shape().task == experiment.dataset.shape().task:
        return f"dataset {experiment.dataset.name!r}"
    return f"model {experiment.model.name!r}"


def _loss_fits_task(experiment: Experiment) -> Problems:
    task = experiment.target_shape().task
    if task not in experiment.loss.tasks:
        fitting = [loss.name for loss in registry.components(Loss) if task in loss.tasks]
        yield InvalidInput(
            f"loss.name is {experiment.loss.name!r}, which needs targets that are "
            f"{' or '.join(experiment.loss.tasks)}, but those of {_task_owner(experiment)} are "
            f"{task}; use {', '.join(fitting)}.",
            "loss.name",
        )
    elif misfit := experiment.loss.misfit(experiment.target_shape()):
        yield InvalidInput(misfit, misfit.partition(" ")[0])


def _codes_are_read(experiment: Experiment) -> Problems:
    coded = [group.name for group in experiment.dataset.shape().groups if group.codes]
    if coded and not experiment.model.reads_codes():
        yield InvalidInput(
            f"dataset.columns gives {coded[0]!r} the role code, a number that names a word and "
            f"measures nothing, but model.name is {experiment.model.name!r}, which would take it as "
            "a quantity; use the role category, or a model of your own with an embedding.",
            "dataset.columns",
        )


def _start_fits_model(experiment: Experiment) -> Problems:
    if experiment.initializer.from_constructor and not experiment.model.has_built_start():
        yield InvalidInput(
            f"initializer.name is {experiment.initializer.name!r}, which takes the parameters that "
            f"a constructor of your own sets, but model {experiment.model.name!r} has none; use "
            f"{experiment.initializer.section.default}.",
            "initializer.name",
        )


def _stopping_fits_task(experiment: Experiment) -> Problems:
    task = experiment.target_shape().task
    if task not in experiment.stopping.tasks:
        yield InvalidInput(
            f"stopping.name is {experiment.stopping.name!r}, which needs the 0-1 error, but "
            f"{_task_owner(experiment)} has none ({task}); use never.",
            "stopping.name",
        )


def _stopping_has_validation(experiment: Experiment) -> Problems:
    if experiment.stopping.needs_validation and experiment.dataset.validation == 0.0:
        yield InvalidInput(
            f"stopping.name is {experiment.stopping.name!r}, which needs validation examples, but "
            "dataset.validation is 0; increase it, or use never.",
            "stopping.name",
        )


def _objective_optimizer_stands_alone(experiment: Experiment) -> Problems:
    if not isinstance(experiment.optimizer, ObjectiveOptimizer):
        return
    for part in (experiment.clipping, experiment.delay, experiment.continuation):
        if part.active:
            yield InvalidInput(
                f"{part.kind}.name is {part.name!r}, but {experiment.optimizer.label} evaluates "
                f"the objective directly and cannot be combined with {part.section.plural.lower()}"
                f'; set {part.kind}.name = "none".',
                f"{part.kind}.name",
            )


def _delays_move_the_point(experiment: Experiment) -> Problems:
    optimizer, delay = experiment.optimizer, experiment.delay
    if optimizer.keeps_point and delay.active:
        yield InvalidInput(
            f"delay.name is {delay.name!r}, but {optimizer.label} keeps the point of its gradients "
            'itself, which a delay does not move; set delay.name = "none".',
            "delay.name",
        )


def _objective_optimizer_has_true_gradient(experiment: Experiment) -> Problems:
    if (
        isinstance(experiment.optimizer, ObjectiveOptimizer)
        and experiment.model.uses_surrogate_gradient()
    ):
        yield InvalidInput(
            f"optimizer.name is {experiment.optimizer.name!r}, which evaluates the objective, but "
            f"model {experiment.model.name!r} with these settings uses a gradient that is not that "
            "of its loss; use an optimizer that needs only gradients, such as momentum.",
            "optimizer.name",
        )


def _optimizer_has_predictions(experiment: Experiment) -> Problems:
    optimizer, model = experiment.optimizer, experiment.model
    if not isinstance(optimizer, ObjectiveOptimizer) or not optimizer.needs_predictions:
        return
    if model.has_own_loss():
        yield InvalidInput(
            f"optimizer.name is {optimizer.name!r}, which needs the distribution that the model "
            f"predicts for each example's target, but model {model.name!r} with these settings has "
            "its own loss and predicts none; use another optimizer.",
            "optimizer.name",
        )
    if not experiment.loss.likelihood():
        yield InvalidInput(
            f"loss.name is {experiment.loss.name!r}, which is not a negative log-likelihood, but "
            f"{optimizer.label} needs the distribution that the model predicts; use another loss "
            "or another optimizer.",
            "loss.name",
        )
    if model.auxiliary_weight() != 0.0:
        yield InvalidInput(
            f"model.auxiliary is {model.auxiliary_weight():g}, but {optimizer.label} uses the "
            "predictions of the last head only; set it to 0, or use another optimizer.",
            "model.auxiliary",
        )


def _optimizer_has_examples(experiment: Experiment) -> Problems:
    optimizer = experiment.optimizer
    if not isinstance(optimizer, ObjectiveOptimizer) or not optimizer.needs_examples:
        return
    if experiment.batches.streams:
        yield InvalidInput(
            f"optimizer.name is {optimizer.name!r}, which keeps a gradient of every training "
            f"example, but batches.name is {experiment.batches.name!r}, which never shows one twice; "
            "use another sampling order, or svrg.",
            "batches.name",
        )
    if experiment.model.normalizes():
        yield InvalidInput(
            f"optimizer.name is {optimizer.name!r}, which takes the gradients of single examples, "
            f"but model {experiment.model.name!r} with these settings normalizes over the batch, so "
            "that they depend on each other; use another optimizer, such as svrg.",
            "optimizer.name",
        )


def _optimizer_has_layers(experiment: Experiment) -> Problems:
    optimizer, model = experiment.optimizer, experiment.model
    if not isinstance(optimizer, ObjectiveOptimizer) or not optimizer.needs_layers:
        return
    if not model.taps_layers():
        able = ", ".join(
            one.name
            for one in registry.components(Model)
            if one.taps_layers is not Model.taps_layers
        )
        yield InvalidInput(
            f"optimizer.name is {optimizer.name!r}, which takes a model apart into affine layers and "
            f"convolutions, but model {experiment.model.name!r} with these settings has others; use "
            f"hessian_free, which takes any model, or a plain one of: {able}.",
            "optimizer.name",
        )


def _pretraining_fits_model(experiment: Experiment) -> Problems:
    if not experiment.pretraining.active:
        return
    stack = experiment.model.stack()
    if stack is None or not stack.layers:
        yield InvalidInput(
            f"pretraining.name is {experiment.pretraining.name!r}, which trains plain hidden "
            f"layers one after another, but model {experiment.model.name!r} with these settings "
            "has none (a plain mlp with hidden layers has); use none.",
            "pretraining.name",
        )
    else:
        reason = experiment.pretraining.refusal(stack.activation)
        if reason:
            yield InvalidInput(reason, "pretraining.name")


def _data_has_training_part(experiment: Experiment) -> Problems:
    validation, test = experiment.dataset.validation, experiment.dataset.test
    if validation + test >= 1.0:
        yield InvalidInput(
            f"dataset.validation ({validation:g}) and dataset.test ({test:g}) leave nothing to "
            "train on; they must add up to less than 1.",
            "dataset.validation",
        )


def _streams_have_a_distribution(experiment: Experiment) -> Problems:
    if experiment.batches.streams and not experiment.dataset.endless:
        endless = [dataset.name for dataset in registry.components(Dataset) if dataset.endless]
        yield InvalidInput(
            f"batches.name is {experiment.batches.name!r}, which draws fresh examples without end, "
            f"but the distribution of dataset {experiment.dataset.name!r} is not known; use a "
            f"data set that is generated ({', '.join(endless)}) or another sampling order.",
            "batches.name",
        )


# --- rules on the parameters ------------------------------------------------------------------


def _model_is_small_enough(experiment: Experiment, layout: Layout) -> Problems:
    if layout.total > MAX_PARAMETERS:
        sizes = (f.name for f in experiment.model.fields() if f.kind in ("sizes", "integer"))
        path = f"model.{next(sizes, 'name')}"
        yield InvalidInput(
            f"The model has {layout.total:,} parameters, but at most {MAX_PARAMETERS:,} are "
            f"allowed; make {path} smaller.",
            path,
        )


def _optimizer_can_hold_parameters(experiment: Experiment, layout: Layout) -> Problems:
    reason = experiment.optimizer.refusal(layout.total)
    if reason:
        yield InvalidInput(reason, "optimizer.name")


def _chosen_weights_exist(experiment: Experiment, layout: Layout) -> Problems:
    for name in experiment.measures.chosen:
        try:
            layout.weight_index(name)
        except InvalidInput as error:
            yield error


def instrument_problems(experiment: Experiment, layout: Layout) -> Problems:
    """Yield the reasons for which instruments do not exist for an experiment."""
    shape = experiment.target_shape()
    setting = Setting(
        shape,
        layout.total,
        validation=experiment.dataset.validation > 0.0,
        clips=experiment.clipping.active,
        probabilities=type(experiment.loss).probabilities is not Loss.probabilities
        and not experiment.model.has_own_loss(),
        sequence=len(experiment.dataset.shape().inputs) == 2,
    )
    for instrument in experiment.instruments:
        reason = instrument.refusal(setting)
        if shape.task not in instrument.tasks:
            reason = (
                f"it exists for targets that are {' or '.join(instrument.tasks)}, but the targets "
                f"of this experiment are {shape.task}."
            )
        if reason:
            yield InvalidInput(
                f"The instrument {instrument.name} cannot be switched on: {reason}",
                f"{INSTRUMENTS}.{instrument.name}",
            )


_RULES: tuple[Callable[[Experiment], Problems], ...] = (
    _loss_fits_task,
    _codes_are_read,
    _start_fits_model,
    _stopping_fits_task,
    _stopping_has_validation,
    _objective_optimizer_stands_alone,
    _delays_move_the_point,
    _objective_optimizer_has_true_gradient,
    _optimizer_has_predictions,
    _optimizer_has_layers,
    _optimizer_has_examples,
    _pretraining_fits_model,
    _data_has_training_part,
    _streams_have_a_distribution,
    schedules.problems,
)
_LAYOUT_RULES: tuple[Callable[[Experiment, Layout], Problems], ...] = (
    _model_is_small_enough,
    _optimizer_can_hold_parameters,
    _chosen_weights_exist,
    instrument_problems,
)
