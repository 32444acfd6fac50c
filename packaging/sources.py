"""Which of torch's modules training loads, and which of these read their own source.

Found by watching torch do what training does.

Many modules are named by no import statement, and others are of no use without their source:
configuration modules read their own comments, operators and scripted functions are compiled from
text. Run as a program, this prints both lists as JSON.
"""

from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Callable
from typing import Any

import parts


def watched(work: Callable[[], None]) -> set[str]:
    """Names of the modules whose source is asked for while ``work`` runs."""
    files: set[str] = set()
    find = inspect.findsource

    def noted(thing: Any) -> Any:
        files.add(inspect.getsourcefile(thing) or "")
        return find(thing)

    inspect.findsource = noted
    try:
        work()
    finally:
        inspect.findsource = find
    modules = dict(sys.modules)
    return {
        name
        for name, module in modules.items()
        if isinstance(module, types.ModuleType) and getattr(module, "__file__", None) in files
    }


def training() -> None:
    """What training does with torch.

    Modules, every optimizer, derivatives of derivatives, without what the package leaves out.
    """
    for name in parts.LEFT_OUT:
        sys.modules[name] = None  # type: ignore[assignment]
    import torch
    import torch._dynamo  # every optimizer of torch's own loads it with its first step

    layer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LSTM(2, 2))
    for name in ("Adafactor", "Muon", "AdamW", "LBFGS"):
        matrix = torch.nn.Parameter(torch.ones(2, 2))
        optimizer = getattr(torch.optim, name)([matrix])
        optimizer.zero_grad()

        def loss(matrix: torch.Tensor = matrix) -> torch.Tensor:
            value = (matrix**2).sum()
            value.backward()
            return value

        optimizer.step(loss)
    parameters = {name: value.detach() for name, value in layer.named_parameters()}
    torch.func.vmap(
        torch.func.grad(
            lambda x: torch.func.functional_call(layer, parameters, (x[None],))[0].sum()
        )
    )(torch.ones(3, 2))
    torch.nn.functional.scaled_dot_product_attention(*[torch.ones(1, 2, 3)] * 3)


if __name__ == "__main__":
    asked = watched(training)
    loaded = [
        name
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ("torch", "torchgen") and getattr(module, "__file__", None)
    ]
    print(
        json.dumps(
            {
                "sources": sorted(name for name in asked if name.startswith("torch")),
                "modules": sorted(loaded),
            }
        )
    )
