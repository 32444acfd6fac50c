"""Write the Kronecker-factored curvature that curvlinops finds, with which K-FAC is compared.

The tests read the file beside this one and do not need the package. To make it again::

    pip install --no-deps --target LIBRARIES curvlinops-for-pytorch
    PYTHONPATH=LIBRARIES python make_curvature.py

Everything is computed in float64; the expectation over the targets is exact ("type-2").
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from pathlib import Path

import torch

HERE = Path(__file__).parent
LAYERS = ["0", "4"]
"""Names of the convolution and of the affine layer in :func:`module`."""
EXAMPLES = 6


def waves(*shape: int, rate: float) -> torch.Tensor:
    """Return numbers of this shape that need no random generator."""
    count = torch.Size(shape).numel()
    return torch.sin(rate * torch.arange(1.0, count + 1.0, dtype=torch.float64)).reshape(shape)


def module() -> torch.nn.Sequential:
    """Return a convolution of one plane, pooled, and an affine layer of three classes."""
    built = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, padding=1),
        torch.nn.Tanh(),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 3),
    ).double()
    for number, parameter in enumerate(built.parameters()):
        parameter.data = waves(*parameter.shape, rate=1.3 + 0.4 * number)
    return built


def inputs() -> torch.Tensor:
    """Return images ``[m, 1, 4, 4]``."""
    return waves(EXAMPLES, 1, 4, 4, rate=0.77)


def main() -> None:
    """Write the file."""
    package = importlib.import_module("curvlinops")
    model = module()
    targets = torch.arange(EXAMPLES) % 3
    found = {}
    for name in LAYERS:
        layer = model.get_submodule(name)
        operator = package.KFACLinearOperator(
            model,
            torch.nn.CrossEntropyLoss(),
            [layer.weight, layer.bias],
            [(inputs(), targets)],
            fisher_type="type-2",
            kfac_approx="expand",
            separate_weight_and_bias=False,
        )
        dense = operator @ torch.eye(operator.shape[0], dtype=torch.float64)
        found[name] = dense.detach().tolist()
    document = {
        "package": "curvlinops-for-pytorch",
        "version": importlib.metadata.version("curvlinops-for-pytorch"),
        "layers": found,
    }
    (HERE / "k_fac.json").write_text(json.dumps(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
