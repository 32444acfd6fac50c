"""Lines of a script that make and step an optimizer whose class it imports."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from optlab.catalogue.optimizers._imported import ImportedRule


def made(rule: ImportedRule) -> list[str]:
    """Return the lines that import and make the optimizer."""
    lines = []
    if rule.draws:
        lines += ["import random", ""]
    lines += [rule.imports]
    if rule.draws:
        lines += [
            "",
            "",
            "def seed_draws(step):",
            '    """Let the optimizer draw the numbers of the run; at step 0, it is made."""',
            "    seed = random.Random(f'optimizer {SEED} {step}').getrandbits(32)",
            "    torch.manual_seed(seed)",
            "    random.seed(seed)",
            "    np.random.seed(seed)",
            *(["    if step:"] if rule.generators else []),
            *(f"        {line}" for line in rule.generators),
        ]
    lines += ["", "", *rule.before] if rule.draws else ["", *rule.before]
    if rule.draws:
        lines += ["seed_draws(0)"]
    lines += [f"optimizer = {rule.creation}", *(["optimizer.train()"] if rule.modes else [])]
    return [*lines, *(f"{key}_before = {rule.given[key]}" for key in sorted(rule.rewritten))]


def set_at(rule: ImportedRule, values: Mapping[str, str]) -> list[str]:
    """Return the lines that set what changes before a step.

    Args:
        values: field → expression of its value.
    """
    lines, inside, last = [], [], []
    for key, source in rule.assigned.items():
        value = _with(source, values)
        lines_of_key = [f"group[{key!r}] = {value}"]
        if key in rule.rewritten:
            # The optimizer changes it as well: then it is scaled, or stays as it is.
            lines += [f"{key}_now = {value}"]
            lines_of_key = [
                f"if group[{key!r}] == {key}_before:",
                f"    group[{key!r}] = {key}_now",
            ]
            if key == "lr":
                lines_of_key += [
                    f"elif {key}_before:  # the optimizer has changed it",
                    f"    group[{key!r}] *= {key}_now / {key}_before",
                ]
            last += [f"{key}_before = {key}_now"]
        if key in rule.partly:
            lines_of_key = [f"if {key!r} in group:", *(f"    {one}" for one in lines_of_key)]
        inside += lines_of_key
    if not inside:
        return []
    return [
        *lines,
        "for group in optimizer.param_groups:",
        *(f"    {one}" for one in inside),
        *last,
    ]


class _Values(ast.NodeTransformer):
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._values:
            return ast.parse(self._values[node.id], mode="eval").body
        return node


def _with(source: str, values: Mapping[str, str]) -> str:
    """Return an expression with the expressions of the fields in place of their names."""
    return ast.unparse(_Values(values).visit(ast.parse(source, mode="eval")))


def closure(arguments: str, *, draws: bool, changes: bool) -> list[str]:
    """Return the function that evaluates loss and gradient for a step.

    Args:
        arguments: of ``backward``. draws: whether it draws random numbers beside the optimizer.
        changes: whether it changes buffers of the model.
    """
    body = ["model.zero_grad()", f"return backward({arguments})"]
    if draws:
        inside = [f"    {line}" for line in body]
        body = ["with torch.random.fork_rng(devices=[]):  # the optimizer draws, too", *inside]
    if changes:
        body = ["put_back(buffers)  # all passes of a step begin with the same", *body]
    lines = [
        "@torch.enable_grad()",
        "def closure():",
        '    """Return the objective on the batch of the step, and set its gradient."""',
        *(f"    {line}" for line in body),
    ]
    if changes:
        lines = [
            "@torch.no_grad()",
            "def put_back(values):",
            '    """Set the buffers of the model to these values."""',
            "    for one, value in zip(model.buffers(), values):",
            "        one.copy_(value)",
            "",
            "",
            *lines,
        ]
    return [*lines, "", ""]


def step_with_closure(rule: ImportedRule, *, changes: bool) -> list[str]:
    """Return the lines of a step that is given :func:`closure`.

    Args:
        changes: whether a pass changes buffers of the model; the step keeps those of a pass before
            it.
    """
    lines = ["closure()"]
    if changes:
        copied = "[one.clone() for one in model.buffers()]"
        lines = [f"buffers = {copied}", "closure()", f"after = {copied}"]
        if rule.modes:
            lines = [lines[0], "optimizer.eval()", *lines[1:], "optimizer.train()", "closure()"]
    return [
        *lines,
        *seeded(rule),
        "optimizer.step(closure)",
        *(["put_back(after)"] if changes else []),
    ]


def seeded(rule: ImportedRule) -> list[str]:
    """Return the line that seeds what a step draws, if it may draw anything."""
    return ["seed_draws(step + 1)"] if rule.draws else []


def in_evaluation(rule: ImportedRule | None, lines: list[str]) -> list[str]:
    """Return lines between those that lead to evaluation mode and back, if the rule has modes."""
    if rule is None or not rule.modes:
        return lines
    return [
        "trained = [one.detach().clone() for one in parameters]",
        "optimizer.eval()",
        *lines,
        "optimizer.train()",
        "move(trained)  # going there and back rounds",
    ]
