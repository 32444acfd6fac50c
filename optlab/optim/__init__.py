"""The catalogue's optimizers as ``torch.optim`` optimizers, for people's own training loops.

Every optimizer of the catalogue is a class here, under the name of its component: the same few
lines that the laboratory runs, with torch's arguments, parameter groups, state dicts and schedulers
around them. The classes are made from the registry when they are asked for, so a file dropped into
``optlab/catalogue/optimizers/`` is one of them::

    import optlab.optim

    optimizer = optlab.optim.Momentum(model.parameters(), lr=0.05, momentum=0.9)

Rules that ask the objective itself (:mod:`optlab.optim.objective_rule`: Newton's method, line
searches) take a closure in ``step`` that returns the loss without calling ``backward()``; natural
gradients need the model's outputs beside it::

    optimizer = optlab.optim.Newton(model.parameters())
    loss = optimizer.step(lambda: loss_function(model(x), y))

    optimizer = optlab.optim.NaturalGradient(model.parameters())
    loss = optimizer.step(lambda: (loss_function(outputs := model(x), y), outputs))

Importing this changes nothing of torch: neither its threads nor its default types.
"""

from __future__ import annotations

# Before anything reaches for torch through optlab.core.lazy: that would set how its threads wait,
# which is for the laboratory to choose and not for a library inside somebody's script.
import torch as _torch  # noqa: F401

from optlab.catalogue.optimizers.base import ObjectiveOptimizer as _ObjectiveRule
from optlab.catalogue.optimizers.base import Optimizer as _Rule
from optlab.core import registry as _registry
from optlab.optim.objective_rule import ObjectiveRuleOptimizer
from optlab.optim.rule import RuleOptimizer

_made: dict[type[_Rule], type[RuleOptimizer] | type[ObjectiveRuleOptimizer]] = {}


def _rules() -> dict[str, type[_Rule]]:
    """Class name → rule, of all that can be applied tensor by tensor or to a closure's loss."""
    return {
        name: rule
        for name, rule in _everything().items()
        if rule.elementwise or issubclass(rule, _ObjectiveRule)
    }


def _everything() -> dict[str, type[_Rule]]:
    return {
        component.__name__: component
        for component in _registry.components("optimizer")
        if issubclass(component, _Rule)
    }


def __getattr__(name: str) -> type[RuleOptimizer] | type[ObjectiveRuleOptimizer]:
    if name == "__all__":
        return list(__dir__())  # type: ignore[return-value]
    rule = None if name.startswith("_") else _rules().get(name)
    if rule is None:
        raise AttributeError(
            f"module {__name__!r} has no optimizer {name!r}; it has: {', '.join(_rules())}"
        )
    if rule not in _made:
        _made[rule] = (
            ObjectiveRuleOptimizer.of(rule, __name__)
            if issubclass(rule, _ObjectiveRule)
            else RuleOptimizer.of(rule, __name__)
        )
    return _made[rule]


def __dir__() -> list[str]:
    return ["ObjectiveRuleOptimizer", "RuleOptimizer", *_rules()]
