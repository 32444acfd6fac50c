"""The training loop of a script, and what it evaluates."""

from __future__ import annotations

from collections.abc import Collection

from optlab.catalogue.models.capabilities import WrittenModule
from optlab.objective.objective import SAMPLE
from optlab.scripts.imported_rules import closure, in_evaluation, seeded, step_with_closure
from optlab.scripts.rules import WrittenRule
from optlab.scripts.specialize import Specializer
from optlab.scripts.strategies import averaged, clip, method
from optlab.training.trainer import Trainer

_ROWS = 10_000
"""Examples that an evaluation passes through the model at a time."""


class Loop:
    """Writes evaluation, training and results.

    Args:
        trainer: of the run. rule, module: its optimizer and its model, written. scheduled: paths of
            the numbers that follow a schedule of their own. to: that of the script.
    """

    def __init__(
        self,
        trainer: Trainer,
        rule: WrittenRule,
        module: WrittenModule,
        scheduled: Collection[str],
        to: Specializer,
    ) -> None:
        self._to = to
        self._experiment = trainer.requested[0]
        self._rule, self._module = rule, module
        self.scheduled = set(scheduled)
        self._objective = trainer.objective
        self._classes = trainer.objective.shape.task == "classes"
        self._layout = trainer.layout
        self._normalizes = self._experiment.model.normalizes()
        self._stops = method(self._experiment.stopping, "verdict", to=to)
        self._can_stop = self._stops.splitlines()[1].strip() != "return memory, None"
        self._draws = self._experiment.model.differs_in_training(self._experiment.dataset.shape())
        self._imported = module.imported
        own = self._own_rule = rule.imported
        self._closure = own is not None and own.closure
        self._modes = own is not None and own.modes
        # A class of the user's need not have all of torch's.
        self._forget = "optimizer" if own is None else "model"
        self._buffers = module.imported is not None and module.imported.changes
        self._needs_norm = "gradient_norm()" in self._stops
        self._elsewhere = bool(
            rule.looks_ahead
            or self._experiment.delay.longest()
            or self._experiment.continuation.active
        )

    # --- strategies -----------------------------------------------------------------------------

    def strategies(self) -> list[str]:
        """Return the functions of clipping, averaging, stopping, delay and continuation.

        To be called once, since no function is written twice.
        """
        experiment = self._experiment
        parts: list[str] = []
        if experiment.clipping.active:
            parts.append(clip(experiment.clipping, self._names("clipping"), self._to))
        if experiment.averaging.active:
            parts.append(averaged(experiment.averaging, self._names("averaging"), self._to))
        if experiment.delay.longest():
            delay = method(experiment.delay, "staleness", to=self._to).replace(
                "generators(", "generator("
            )
            parts.append(delay.replace(", generators)", ")"))
        if experiment.continuation.active:
            parts.append(method(experiment.continuation, "width", to=self._to))
        if self._can_stop:
            parts.append(self._stops)
        return "\n\n\n".join(parts).splitlines()

    def _names(self, section: str) -> dict[str, str]:
        return {
            path.partition(".")[2]: path.partition(".")[2]
            for path in sorted(self.scheduled)
            if path.startswith(f"{section}.")
        }

    # --- evaluation -----------------------------------------------------------------------------

    def evaluation(self) -> list[str]:
        """Return the functions that compute losses and errors."""
        task = self._objective.shape.task
        model = self._experiment.model
        lines = []
        if not model.has_own_loss():
            lines += [
                "def losses(outputs, y):",
                '    """Return the loss of each example."""',
                f"    return {self._experiment.loss.written(task)}",
                "",
                "",
            ]
        measured = ["loss"] if not self._classes else ["loss", "error"]
        lines += [
            "@torch.no_grad()",
            "def evaluate(*names):",
            f'    """Return the mean {" and the mean 0-1 ".join(measured)} of parts of the data."""',
        ]
        if self._normalizes:
            lines += [
                "    # Batch normalization uses the moments of the training set.",
                f"    model.train()\n    model(x_train[:{SAMPLE}])",
            ]
        lines += ["    model.eval()", "    values = {}", "    for name in names:"]
        if model.has_own_loss():
            lines += [
                "        parts_of_x = parts[name][0].split(10_000)",
                "        loss = torch.cat([model.own_loss(x) for x in parts_of_x])",
                "        values[f'{name}_loss'] = loss.mean().item()",
            ]
        else:
            lines += ["        x, y = parts[name]"]
            if self._module.targets != "y":
                lines += [f"        y = {self._module.targets}"]
            lines += [
                f"        outputs = torch.cat([model(some) for some in x.split({_ROWS})])",
                "        values[f'{name}_loss'] = losses(outputs, y).mean().item()",
            ]
        if self._classes:
            lines += [
                "        wrong = outputs.argmax(dim=1) != y",
                "        values[f'{name}_error'] = wrong.to(outputs.dtype).mean().item()",
            ]
        return "\n".join([*lines, "    model.train()", "    return values"]).splitlines()

    # --- training -------------------------------------------------------------------------------

    def training(self) -> list[str]:
        """Return the loop."""
        before = self._before()
        return [
            *self._helpers(),
            *([*before, ""] if before else []),
            "for step in range(STEPS):",
            *(f"    {line}" if line else "" for line in self._step()),
            # A run that has stopped is in evaluation mode already.
            *(["else:", "    optimizer.eval()"] if self._modes and self._can_stop else []),
            *(["", "optimizer.eval()"] if self._modes and not self._can_stop else []),
        ]

    def _helpers(self) -> list[str]:
        lines: list[str] = []
        if self._decays():
            lines += [*self._weights(), "", ""]
        drawn = ["step=None"] if self._draws else self._drawn()
        lines += [
            f"def backward({', '.join(['x', 'y', *self._decay_arguments(), *drawn])}):",
            '    """Add the gradient of the objective on a batch to that of the parameters."""',
            *(f"    {line}" for line in self._masked(self._objective_lines())),
            *(["    return value  # of the objective"] if self._closure else []),
            "",
            "",
        ]
        if self._closure:
            own = (self._own_rule, self._imported)
            draws = all(one is not None and one.draws for one in own)
            lines += closure(self._arguments(), draws=draws, changes=self._buffers)
        if self._moves():
            lines += [
                "@torch.no_grad()",
                "def move(values):",
                '    """Set the parameters to these values."""',
                "    for parameter, value in zip(parameters, values):",
                "        parameter.copy_(value)",
                "",
                "",
            ]
        if self._needs_norm:
            rows = f"[:{SAMPLE}]" if self._normalizes else ""
            arguments = ", ".join([f"x_train{rows}", f"y_train{rows}", *self._decay_arguments()])
            lines += [
                "def full_gradient_norm():",
                '    """Return the norm of the gradient on the whole training set."""',
                f"    {self._forget}.zero_grad()",
                f"    backward({arguments})",
                "    gradients = torch.cat([one.grad.flatten() for one in parameters])",
                "    return torch.linalg.vector_norm(gradients).item()",
                "",
                "",
            ]
        return lines

    def _weights(self) -> list[str]:
        layout = self._layout.parameters
        if all((one.role == "weight") == (len(one.shape) > 1) for one in layout):
            return [
                "# Weights decay, biases do not.",
                "weights = [one for one in parameters if one.dim() > 1]",
            ]
        names = ", ".join(repr(one.name) for one in layout if one.role == "weight")
        return [
            f"decaying = {{{names}}}",
            "weights = [one for name, one in model.named_parameters() if name in decaying]",
        ]

    def _arguments(self) -> str:
        """Return the arguments of ``backward`` in a step."""
        return ", ".join(["x", "y", *self._decay_arguments(), *self._drawn()])

    def _decays(self) -> list[str]:
        loss = self._experiment.loss
        return [
            name for name in ("l2", "l1") if getattr(loss, name) or f"loss.{name}" in self.scheduled
        ]

    def _decay_arguments(self) -> list[str]:
        return [name for name in ("l2", "l1") if f"loss.{name}" in self.scheduled]

    def _drawn(self) -> list[str]:
        if self._draws:
            return ["step"]
        return ["uniforms"] if self._objective.uses_surrogate_gradient else []

    def _masked(self, lines: list[str]) -> list[str]:
        """Return the lines of a pass, with the masks of its step around them, if it draws any."""
        if not self._draws:
            return lines
        if self._imported is not None:
            seed = "    torch.manual_seed(generator(f'training pass/{step}').initial_seed())"
            draws = ["if step is not None:", seed] if self._imported.draws else []
            return [
                "# Only the passes of a step are training passes, and all of a step draw the same."
                if draws
                else "# Only the passes of a step are training passes.",
                "model.train(step is not None)",
                *draws,
                *lines,
                "model.train()",
            ]
        return [
            "# All passes of a step draw the same masks; without a step, none are drawn.",
            "if step is not None:",
            "    model.masks = generator(f'training pass/{step}')",
            *lines,
            "model.masks = None",
        ]

    def _objective_lines(self) -> list[str]:
        model, target = self._experiment.model, self._module.targets
        if self._objective.uses_surrogate_gradient:
            lines = ["model.surrogate(x, uniforms).backward()"]
        elif model.auxiliary_weight() and not model.has_own_loss():
            lines = [
                "heads = []",
                f"loss = losses(model(x, heads), {target}).mean()",
                "for outputs in heads:",
                f"    loss = loss + {model.auxiliary_weight()!r} * losses(outputs, {target}).mean()",
                "loss.backward()",
            ]
        else:
            of_each = "model.own_loss(x)" if model.has_own_loss() else f"losses(model(x), {target})"
            lines = [f"{of_each}.mean().backward()"]
            if self._closure:
                lines = [f"loss = {of_each}.mean()", "loss.backward()"]
        if self._closure:
            lines += ["value = loss.detach()"]
        if self._imported is not None and self._imported.unused:
            lines += [
                "for one in parameters:",
                "    if one.grad is None:  # it has no part in the outputs",
                "        one.grad = torch.zeros_like(one)",
            ]
        return [*lines, *self._decayed()]

    def _decayed(self) -> list[str]:
        """Return the lines that add weight decay to the gradient."""
        if not self._decays():
            return []
        lines = ["with torch.no_grad():", "    for weight in weights:"]
        added = {
            "l2": ("weight", "0.5 * {} * (weight**2).sum()"),
            "l1": ("weight.sign()", "{} * weight.abs().sum()"),
        }
        for name in self._decays():
            factor = name if f"loss.{name}" in self.scheduled else name.upper()
            gradient, value = added[name]
            lines += [f"        weight.grad.add_({gradient}, alpha={factor})"]
            if self._closure:
                lines += [f"        value = value + {value.format(factor)}"]
        return lines

    def _moves(self) -> bool:
        keeps = self._experiment.stopping.keeps_best
        return bool(self._elsewhere or keeps or self._averages() or self._modes)

    def _averages(self) -> bool:
        return bool(self._experiment.averaging.active or self._rule.average)

    def _before(self) -> list[str]:
        """Return what is set before the first step."""
        experiment = self._experiment
        lines = []
        if experiment.schedule.watches:
            lines += ["watched = {}  # what the schedule remembers of the evaluations"]
        if self._can_stop:
            lines += ["memory = {}  # what the stopping rule remembers"]
        if self._needs_norm:
            lines += ["norm_at_start = full_gradient_norm()"]
        if experiment.averaging.active:
            lines += ["average = [one.detach().clone() for one in parameters]"]
        if experiment.delay.longest():
            lines += ["past = []  # parameters of the last steps, the latest last"]
        return lines

    def _step(self) -> list[str]:
        experiment = self._experiment
        lines = self._values()
        lines += self._batch()
        if self._elsewhere:
            lines += ["here = [one.detach().clone() for one in parameters]"]
        if experiment.delay.longest():
            lines += [
                f"past = [*past, here][-{experiment.delay.longest() + 1}:]",
                "move(past[-1 - min(staleness(step), step)])",
            ]
        if self._rule.looks_ahead:
            lines += ["optimizer.look_ahead()"]
        arguments = self._arguments()
        if not self._closure:
            lines += [f"{self._forget}.zero_grad()"]
        if self._objective.uses_surrogate_gradient:
            lines += [
                "source = generator(f'surrogate/{step}')",
                "uniforms = lambda units: torch.rand("
                "len(x), units, generator=source, dtype=torch.float64).to(x)",
            ]
        if experiment.continuation.active:
            lines += self._blurred(arguments)
        elif not self._closure:
            lines += [f"backward({arguments})"]
        if self._elsewhere:
            lines += ["move(here)"]
        if experiment.clipping.active:
            lines += self._clipped()
        return [*lines, *self._taken(), *self._averaged(), *self._evaluated()]

    def _taken(self) -> list[str]:
        """Return the lines in which the optimizer takes its step."""
        if self._own_rule is None:
            return ["optimizer.step()"]
        if self._closure:
            return step_with_closure(self._own_rule, changes=self._buffers)
        return [*seeded(self._own_rule), "optimizer.step()"]

    def _averaged(self) -> list[str]:
        if not self._experiment.averaging.active:
            return []
        names = "".join(f", {name}_at(step)" for name in self._names("averaging"))
        lines = [
            "with torch.no_grad():",
            f"    average = [averaged(a, one, step + 1{names}) for a, one in zip(average, parameters)]",
        ]
        return in_evaluation(self._own_rule, lines)

    def _values(self) -> list[str]:
        """Return the lines that set what follows a schedule."""
        experiment = self._experiment
        groups = []
        schedule = experiment.schedule
        lr = repr(float(getattr(experiment.optimizer, "lr", 0.0)))
        if schedule.watches:
            groups += [("lr", f"rate({lr}, step, watched)")]
        elif not schedule.constant:
            of = "step" if hasattr(schedule, "function") else f"{lr}, step"
            groups += [("lr", f"rate({of})")]
        groups += [(name, f"{name}_at(step)") for name in self._names("optimizer")]
        lines = self._rule.set_at(dict(groups))
        return [*lines, *(f"{name} = {name}_at(step)" for name in self._decay_arguments())]

    def _batch(self) -> list[str]:
        lines = ["epoch, position = divmod(step, STEPS_PER_EPOCH)"]
        if self._experiment.batches.streams:
            return [
                *lines,
                "first = epoch * N + position * BATCH",
                "rows = slice(first, min(first + BATCH, (epoch + 1) * N))",
                "x, y = x_stream[rows], y_stream[rows]",
            ]
        return [
            *lines,
            "if position == 0:",
            "    order = epoch_order(epoch)",
            "rows = order[position * BATCH : (position + 1) * BATCH]",
            "x, y = x_train[rows], y_train[rows]",
        ]

    def _blurred(self, arguments: str) -> list[str]:
        draws = self._experiment.continuation.draws()
        names = [one.name for one in self._layout.parameters]
        pair, trained = "(name, _)", "model.named_parameters()"
        if self._imported is not None:  # some may be frozen
            pair, trained = "name", "names"
        return [
            "sigma = width(step)",
            "if sigma:",
            "    # The objective is blurred: the gradient is the mean over noise on the parameters.",
            "    point = [one.detach().clone() for one in parameters]",
            "    source = generator(f'continuation/{step}')",
            f"    names = {names}",
            f"    for _ in range({draws}):",
            "        noise = torch.randn(sum(one.numel() for one in parameters), generator=source, "
            "dtype=torch.float64)",
            "        of = dict(model.named_parameters())",
            "        sizes = [of[name].numel() for name in names]",
            "        noise = dict(zip(names, noise.to(point[0]).split(sizes)))",
            "        move([value + sigma * noise[name].view_as(value) "
            f"for {pair}, value in zip({trained}, point)])",
            f"        backward({arguments})",
            "    for one in parameters:",
            f"        one.grad /= {draws}",
            "else:",
            f"    backward({arguments})",
        ]

    def _clipped(self) -> list[str]:
        names = "".join(f", {name}_at(step)" for name in self._names("clipping"))
        return [
            "gradients = torch.cat([one.grad.flatten() for one in parameters])",
            f"clipped = clip(gradients, torch.linalg.vector_norm(gradients){names})",
            "for one, g in zip(parameters, clipped.split([one.numel() for one in parameters])):",
            "    one.grad = g.view_as(one)",
        ]

    def _evaluated(self) -> list[str]:
        experiment = self._experiment
        lines = [
            "values = evaluate(*(name for name in parts if name != 'test'))",
            "shown = (f\"{name.replace('_', ' ')} {value:.6g}\" for name, value in values.items())",
            "print(f'step {step + 1:>6}:', *shown, sep='  ')",
        ]
        if experiment.schedule.watches:
            lines += ["watched = observed(watched, values)"]
        if self._can_stop:
            norm = "full_gradient_norm" if self._needs_norm else "None"
            known = (
                "{**values, 'gradient_norm_at_start': norm_at_start}"
                if self._needs_norm
                else "values"
            )
            lines += [f"memory, reason = verdict(memory, step + 1, {known}, {norm})"]
            if experiment.stopping.keeps_best:
                lines += [
                    "if memory.get('best_step') == step + 1:",
                    "    best = [one.detach().clone() for one in parameters]",
                ]
                if self._buffers:
                    lines += ["    best_buffers = [one.clone() for one in model.buffers()]"]
            lines += ["if reason is not None:", "    print(reason)"]
            if experiment.stopping.keeps_best:
                lines += ["    move(best)"]
                if self._buffers:
                    lines += [
                        "    for one, value in zip(model.buffers(), best_buffers):",
                        "        one.copy_(value)",
                    ]
            lines += ["    break"]
        lines = in_evaluation(self._own_rule, lines)
        return ["if (step + 1) % EVALUATE_EVERY == 0:", *(f"    {line}" for line in lines)]

    # --- results --------------------------------------------------------------------------------

    def results(self) -> list[str]:
        """Return what the script says at its end."""
        lines = ["final = evaluate(*parts)"]
        if self._averages():
            if self._experiment.averaging.active:
                lines += ["averages = average"]
            else:
                lines += ["averages = []"]
                lines += ["for one in parameters:", "    state = optimizer.state[one]"]
                lines += [f"    averages.append({self._rule.average}.view_as(one))"]
            lines += [
                "last = [one.detach().clone() for one in parameters]",
                "move(averages)",
                "of_average = evaluate(*(name for name in parts if name != 'test'))",
                "final |= {f'averaged_{name}': value for name, value in of_average.items()}",
                "move(last)",
            ]
        return [
            *lines,
            "print('final')",
            "for name, value in final.items():",
            "    print(f'{name}: {value!r}')",
        ]
