"""The optimizers of the catalogue as ``torch.optim`` optimizers, for custom training loops.

Each class runs the same update rule as the program, with the arguments, parameter groups, state
dicts and learning-rate schedulers of torch. ``dir(optlab.optim)`` lists the classes, and
``help(optlab.optim.Momentum)`` describes one: its rule, its arguments with their ranges and
defaults, and how it differs from the version in torch.

First-order optimizers are used like those of torch::

    import optlab.optim

    optimizer = optlab.optim.Momentum(model.parameters(), lr=0.05, momentum=0.9)
    for x, y in batches:
        optimizer.zero_grad()
        loss_function(model(x), y).backward()
        optimizer.step()

Closure-based optimizers (Newton's method, conjugate gradients, BFGS, evolution strategies, …)
evaluate the objective themselves. Their ``step`` needs a closure that returns the loss *without*
calling ``backward()``; for natural gradients it returns the outputs of the model as well::

    optimizer = optlab.optim.Newton(model.parameters())
    loss = optimizer.step(lambda: loss_function(model(x), y))

    optimizer = optlab.optim.NaturalGradient(model.parameters())
    loss = optimizer.step(lambda: (loss_function(outputs := model(x), y), outputs))

On the CPU, rules of elementwise arithmetic switch to compiled loops during training, with the same
bits, where there is a C++ compiler: see the argument ``fused`` and the attribute
``fused_groups``.

The classes are created from the registry on first access, so a new file in
``optlab/catalogue/optimizers/`` adds one. Importing this module does not change the threads or
default types of torch.
"""

from __future__ import annotations

# Import torch before anything uses it through optlab.core.lazy, which would configure how its
# threads wait. The application may do that, but not a library that is imported by a script.
import torch as _torch  # noqa: F401

from optlab.catalogue.optimizers.base import ObjectiveOptimizer as _ClosureRule
from optlab.catalogue.optimizers.base import Optimizer as _Rule
from optlab.core import registry as _registry
from optlab.optim.closure_optimizer import ClosureOptimizer
from optlab.optim.rule import RuleOptimizer

_classes: dict[type[_Rule], type[RuleOptimizer] | type[ClosureOptimizer]] = {}


def _rules() -> dict[str, type[_Rule]]:
    """Return class name → rule for all rules but those of torch's own optimizers."""
    return {
        component.__name__: component
        for component in _registry.components("optimizer")
        if issubclass(component, _Rule) and component.applied_to
    }


def __getattr__(name: str) -> type[RuleOptimizer] | type[ClosureOptimizer]:
    if name == "__all__":
        return list(__dir__())  # type: ignore[return-value]
    rule = None if name.startswith("_") else _rules().get(name)
    if rule is None:
        raise AttributeError(
            f"module {__name__!r} has no optimizer {name!r}; it has: {', '.join(_rules())}"
        )
    if rule not in _classes:
        _classes[rule] = (
            ClosureOptimizer.of(rule, __name__)
            if issubclass(rule, _ClosureRule)
            else RuleOptimizer.of(rule, __name__)
        )
    return _classes[rule]


def __dir__() -> list[str]:
    return ["ClosureOptimizer", "RuleOptimizer", *_rules()]
