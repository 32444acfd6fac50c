"""The optimizer of a script: a class of torch where it takes the same steps, else the rule itself.

A class that is written out is the rule's own ``update``, specialized to its fields, inside the loop
over parameters that every optimizer of torch has.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import Any

from optlab.catalogue.optimizers._imported import ImportedRule
from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer
from optlab.core.errors import InvalidInput
from optlab.scripts import imported_rules
from optlab.scripts.code_fields import Fields
from optlab.scripts.source_text import text
from optlab.scripts.specialize import Specializer, begins_anew, constant, parsed


class WrittenRule:
    """The optimizer of a run as source.

    Args:
        rule: with its fields.
        changing: its fields that follow a schedule, the rate included. to: that of the script.
        imported: how its class is imported, where it is the user's or that of a package.

    Raises:
        InvalidInput: the rule cannot be written.

    Attributes:
        imported: see above.
        definition: the class and its functions, "" for one that is imported.
        creation: the call that makes it.
        keys: field → key of the parameter groups that holds it.
        module: the module of a package that has it, "" for torch and for what is written out.
        looks_ahead: whether the gradient is evaluated at another point than the parameters.
        average: expression of a parameter's average that the rule keeps, "" for none.
    """

    def __init__(
        self,
        rule: Optimizer,
        changing: Collection[str] = (),
        to: Specializer | None = None,
        imported: ImportedRule | None = None,
    ) -> None:
        self._to = to or Specializer()
        self.imported = imported
        self.definition = self.average = ""
        self.looks_ahead = False
        self.module = ""
        self.keys: Mapping[str, str] = {}
        if imported is not None:
            self.creation = imported.creation
            return
        call = rule.torch_call(changing)
        if call is not None:
            self.creation = _call(call.name, call.arguments)
            self.keys = call.groups
            if not call.name.startswith("torch.optim."):
                self.module = call.name.rpartition(".")[0]
            return
        if isinstance(rule, ObjectiveOptimizer):
            raise InvalidInput(
                f"optimizer.name is '{rule.name}', which evaluates the objective several times a "
                "step; only rules that take one gradient a step, and your own, can be written as a "
                "script.",
                "optimizer.name",
            )
        if not rule.elementwise:
            raise InvalidInput(
                f"optimizer.name is '{rule.name}', which does not treat every value by itself; "
                "only rules that do, those of torch and your own can be written as a script.",
                "optimizer.name",
            )
        self._rule = rule
        self._own = type(rule).__name__
        self._changing = set(changing)
        self._write()

    def set_at(self, values: Mapping[str, str]) -> list[str]:
        """Return the lines that set what changes before a step.

        Args:
            values: field → expression of its value.
        """
        if self.imported is not None:
            return imported_rules.set_at(self.imported, values)
        lines = ["for group in optimizer.param_groups:"] if values else []
        return [*lines, *(f"    group[{self.keys[one]!r}] = {values[one]}" for one in values)]

    def _write(self) -> None:
        rule = self._rule
        numbers = {
            field.name: getattr(rule, field.name)
            for field in rule.fields()
            if field.kind == "number" or field.name in self._changing
        }
        self._constants = {
            field.name: getattr(rule, field.name)
            for field in rule.fields()
            if field.name not in numbers
        }
        self._numbers = numbers
        self.keys = {name: name for name in numbers}
        before = len(self._to.helpers)
        update, used = self._part(rule.update)
        begins = self._begun()
        ahead, ahead_used = (
            ([], {}) if type(rule).point is Optimizer.point else self._part(rule.point)
        )
        returned = ahead[-1].value if ahead and isinstance(ahead[-1], ast.Return) else None
        self.looks_ahead = returned is not None and ast.unparse(returned) != "theta"
        rows = len(self._to.helpers) > before
        view = "parameter.view(1, -1)" if rows else "parameter"
        gradient = "parameter.grad.reshape(1, -1)" if rows else "parameter.grad"
        lines = [f"class {self._own}(torch.optim.Optimizer):"]
        sentence = (rule.__doc__ or "").strip().splitlines()[0]
        lines += [f'    """{rule.label}: {sentence}"""', ""]
        arguments = ", ".join(numbers)
        groups = ", ".join(f"{name}={name}" for name in numbers)
        lines += [
            f"    def __init__(self, parameters, {arguments}):",
            f"        super().__init__(parameters, dict({groups}))",
        ]
        if begins is not None:
            lines += self._loop("", {}, view, "", begins)
        if self.looks_ahead:
            lines += ["", "    @torch.no_grad()", "    def look_ahead(self):"]
            lines += ['        """Move the parameters to where the gradient is evaluated."""']
            lines += self._loop(
                "group.get('step', 0) + 1", ahead_used, view, "", self._moved(ahead)
            )
        lines += ["", "    @torch.no_grad()", "    def step(self, closure=None):"]
        lines += self._loop("count", used, view, gradient, self._updated(update))
        helpers = self._to.written()
        self.definition = "\n".join([*([helpers, "", ""] if helpers else []), *lines])
        self.creation = _call(self._own, numbers)
        if type(rule).average is not Optimizer.average:
            node = self._to.function(rule.average, {})
            last = node.body[-1]
            assert isinstance(last, ast.Return) and last.value is not None
            self.average = ast.unparse(last.value)

    def _names(self, function: Any) -> dict[str, str]:
        """Return field → name of its variable in a function of the rule."""
        taken = {
            one.id
            for one in ast.walk(parsed(function))
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
        }
        names = {name: f"{name}_" if name in taken else name for name in self._numbers}
        return {**names, "step": "t_" if "t" in taken else "t"}

    def _part(self, function: Any) -> tuple[list[ast.stmt], dict[str, str]]:
        """Return the body of a function of the rule, and the fields that it uses."""
        space = Fields(self._constants, self._names(function))
        node = self._to.function(function, {"h": space})
        body = node.body[1:] if ast.get_docstring(node) else node.body
        return body, space.used

    def _begun(self) -> list[str] | None:
        """Return the lines that set the state before the first step; None without state."""
        rule = self._rule
        own = begins_anew(type(rule))
        if not own and type(rule).start is Optimizer.start:
            return None
        body, _ = self._part(rule.begin if own else rule.start)
        lines = [text(statement) for statement in body[:-1]]
        assert isinstance(body[-1], ast.Return) and body[-1].value is not None
        return [*lines, *_stored(body[-1].value)]

    def _loop(
        self, step: str, used: dict[str, str], view: str, gradient: str, body: list[str]
    ) -> list[str]:
        """Return a loop over groups and parameters.

        Args:
            step: what the number of the step is; ``count`` to count it, "" where it has no part.
        """
        lines = ["        for group in self.param_groups:"]
        if step == "count":
            lines += ["            group['step'] = group.get('step', 0) + 1"]
            step = "group['step']"
        fields = [(name, f"group[{name!r}]") for name in used if name != "step"]
        if "step" in used:
            fields.append(("step", step))
        if fields:
            names = ", ".join(used[name] for name, _ in fields)
            lines += [f"            {names} = {', '.join(value for _, value in fields)}"]
        plain = view == "parameter"
        lines += [f"            for {'theta' if plain else 'parameter'} in group['params']:"]
        key = "theta" if plain else "parameter"
        inside = "\n".join(body)
        if gradient and not plain:
            lines += [f"                theta, g = {view}, {gradient}"]
        elif gradient:
            lines += ["                g = theta.grad"]
        elif not plain:
            lines += [f"                theta = {view}.detach()"]
        if "state" in inside:
            lines += [f"                state = self.state[{key}]"]
        return lines + [f"                {line}" for one in body for line in one.splitlines()]

    def _moved(self, body: list[ast.stmt]) -> list[str]:
        assert isinstance(body[-1], ast.Return) and body[-1].value is not None
        lines = [text(statement) for statement in body[:-1]]
        return [*lines, f"theta.copy_({ast.unparse(body[-1].value)})"]

    def _updated(self, body: list[ast.stmt]) -> list[str]:
        """Return the lines of an update that stores what the function returns."""
        returned = body[-1]
        assert isinstance(returned, ast.Return)
        if any(isinstance(one, ast.Return) for part in body[:-1] for one in ast.walk(part)):
            raise InvalidInput(
                f"optimizer.name is '{self._rule.name}', whose steps are of several kinds; it "
                "cannot be written as a script.",
                "optimizer.name",
            )
        assert isinstance(returned.value, ast.Tuple)
        after, state = returned.value.elts
        lines = [text(statement) for statement in body[:-1]]
        moved = ast.unparse(after)
        stored = _stored(state)
        if not stored:
            return [*lines, f"theta.copy_({moved})"]
        if all(isinstance(one, ast.Name) for one in _values(state)):
            return [*lines, f"theta.copy_({moved})", *stored]
        return [*lines, f"after = {moved}", *stored, "theta.copy_(after)"]


def _values(state: ast.expr) -> list[ast.expr]:
    return state.values if isinstance(state, ast.Dict) else [state]


def _stored(state: ast.expr) -> list[str]:
    """Return the lines that store the new state."""
    if isinstance(state, ast.Name) and state.id == "state":
        return []
    if isinstance(state, ast.Dict):
        if not state.keys:
            return []
        if all(isinstance(key, ast.Constant) for key in state.keys):
            pairs = zip(state.keys, state.values, strict=True)
            entries = ", ".join(
                f"{key.value!s}={ast.unparse(value)}"
                for key, value in pairs
                if isinstance(key, ast.Constant)
            )
            return [f"state.update({entries})"]
    return [f"state.update({ast.unparse(state)})"]


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    given = ", ".join(
        f"{argument}={ast.unparse(constant(value))}" for argument, value in arguments.items()
    )
    return f"{name}(model.parameters(), {given})"
