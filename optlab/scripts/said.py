"""Examples and start weights that a few lines say, so that they need not travel beside a script.

The lines are the code of the catalogue, specialized. They are executed here, and taken only where
they give every number that the run had, bit for bit.
"""

from __future__ import annotations

import ast
import runpy
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.catalogue.initializers.base import Initializer, Start
from optlab.core.data import split_indices, standardized, unit_ranged
from optlab.core.errors import InvalidInput
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.scripts.code_fields import Fields
from optlab.scripts.source_text import text
from optlab.scripts.specialize import Specializer
from optlab.scripts.strategies import values_of

MAX_LINES = 110
"""Lines that say the examples, at most."""
PARTS = ("train", "validation", "test")


def examples(
    dataset: Dataset, dtype: str, arrays: Mapping[str, NDArray[Any]], to: Specializer
) -> list[str] | None:
    """Return lines that define ``parts`` of a data set; None where no lines do.

    Args:
        dtype: name of the precision. arrays: the examples as the run saw them: inputs ``x_…``
            ``[n, *inputs]``, targets ``y_…`` ``[n]`` or ``[n, outputs]``. to: that of the script.
    """
    if dataset.test_examples() is not None:
        return None
    before = to.saved()
    try:
        lines = _of_data_set(dataset, dtype, to)
    except (InvalidInput, AttributeError, ValueError):
        lines = []  # its code is of a kind that cannot be specialized
    if 0 < len(lines) <= MAX_LINES and _same_examples(lines, arrays):
        return lines
    to.restore(before)
    return None


def _of_data_set(dataset: Dataset, dtype: str, to: Specializer) -> list[str]:
    source = to.function(Dataset.rng, {"self": values_of(dataset)})
    loading = dataset.loading()
    drawn = None
    if not loading:
        drawn = to.function(type(dataset).examples, {"self": values_of(dataset)})
    to.helper(split_indices, None)
    scaling = unit_ranged if dataset.unit_range else standardized if dataset.standardize else None
    if scaling is not None:
        to.helper(scaling, None)
    functions = [text(source), *filter(None, [to.written()])]
    if drawn is not None:
        functions.append(text(drawn))
    imports, loaded = loading[:1], loading[1:] or ("x, y = examples(rng('examples'))",)
    classes = dataset.shape().task == "classes"
    shares = f"{dataset.validation!r}, {dataset.test!r}"
    lines = [*imports, *([""] * (2 if imports else 0))]
    lines += "\n\n\n".join(functions).splitlines()
    lines += ["", "", *loaded]
    if classes:
        lines += ["y = y.astype(np.int64)"]
    by_class = ", y" if classes else ""
    lines += [f"rows = split_indices(len(x), {shares}, rng('split'){by_class})"]
    if scaling is not None:
        lines += [f"x, _, _ = {scaling.__name__}(x, rows[0])  # by the training part"]
    target = "torch.tensor(y[some])" if classes else f"torch.tensor(y[some], dtype=torch.{dtype})"
    return [
        *lines,
        "parts = {",
        f"    name: (torch.tensor(x[some], dtype=torch.{dtype}), {target})",
        f"    for name, some in zip({PARTS!r}, rows)",
        "    if len(some)",
        "}",
    ]


def _same_examples(lines: list[str], arrays: Mapping[str, NDArray[Any]]) -> bool:
    space = _ran(lines)
    if space is None:
        return False
    parts: Mapping[str, tuple[Any, Any]] = space["parts"]
    wanted = {name for name in PARTS if f"x_{name}" in arrays}
    return set(parts) == wanted and all(
        np.array_equal(value.numpy(), arrays[f"{axis}_{name}"], equal_nan=axis == "x")
        and value.numpy().dtype == arrays[f"{axis}_{name}"].dtype
        for name, pair in parts.items()
        for axis, value in zip("xy", pair, strict=True)
    )


def start(
    initializer: Start,
    layout: Layout,
    run: tuple[int, str],
    arrays: Mapping[str, NDArray[Any]],
    to: Specializer,
) -> list[str] | None:
    """Return lines that set the parameters of ``model`` to the start; None where no lines do.

    They ask ``generator(purpose)`` for their random numbers.

    Args:
        run: its seed, and the source of its model. to: that of the script. arrays: the start weights ``start/…`` of the
            run, ``[fan_out, fan_in]`` where a tensor is a matrix.
    """
    if not isinstance(initializer, Initializer):
        return None
    names = ("shape", "fan_in", "fan_out", "size", "name", "role", "output")
    # Lines that treat stacked matrices as one are found out by their numbers.
    parameter = Fields({"stacked": 1}, {one: one for one in names})
    spaces = {"self": values_of(initializer), "parameter": parameter}
    before = to.saved()
    try:
        node = to.function(type(initializer).weight, spaces, "drawn")
    except (InvalidInput, AttributeError):
        to.restore(before)
        return None  # its code is of a kind that cannot be specialized
    used = spaces["parameter"].used
    if "size" in used:
        node.body.insert(0, ast.parse("size = math.prod(shape)").body[0])
        used["shape"] = "shape"
    arguments = [name for name in ("shape", "fan_in", "fan_out") if name in used]
    node.args.args = [ast.arg(one) for one in (*arguments, "generator")]
    drawn = "\n\n\n".join([*filter(None, [to.written()]), text(node)])
    weights = [one for one in layout.parameters if one.role == "weight"]
    fans = [f"    {one.name!r}: ({one.fan_in}, {one.fan_out})," for one in weights]
    given = {"shape": "one.shape", "fan_in": "fan_in", "fan_out": "fan_out"}
    call = ", ".join([*(given[name] for name in arguments), "source"])
    others = {"bias": initializer.bias, "gate": initializer.gate_bias, "scale": 1.0}
    groups = {role: [one.name for one in layout.parameters if one.role == role] for role in others}
    lines = [
        *drawn.splitlines(),
        "",
        "",
        "# the numbers of inputs and outputs of each weight, in the order in which they are drawn",
        "fans = {",
        *fans,
        "}",
        "of = dict(model.named_parameters())",
        "source = generator('start')",
        "with torch.no_grad():",
        "    for name, (fan_in, fan_out) in fans.items():",
        "        one = of[name]",
        f"        one.copy_(drawn({call}))",
    ]
    if groups["scale"] or groups["gate"]:
        values = {name: others[role] for role, names in groups.items() for name in names}
        lines += [f"    for name, value in {values!r}.items():", "        of[name].fill_(value)"]
    elif groups["bias"]:
        lines += [
            "    for name in of.keys() - fans.keys():",
            f"        of[name].fill_({initializer.bias!r})",
        ]
    if _same_start(lines, *run, arrays):
        return lines
    to.restore(before)
    return None


GENERATOR = (
    "def generator(purpose):",
    '    """Return a random generator for one purpose."""',
    "    digest = hashlib.sha256(f'{SEED}:{purpose}'.encode()).digest()",
    "    return torch.Generator().manual_seed(int.from_bytes(digest[:8], 'little') >> 1)",
)
"""The source of ``generator``."""


def _same_start(
    lines: list[str], seed: int, module: str, arrays: Mapping[str, NDArray[Any]]
) -> bool:
    (precision,) = {value.dtype.name for name, value in arrays.items() if name.startswith("start/")}
    settings = [f"torch.set_default_dtype(torch.{precision})", f"SEED = {seed}"]
    before, state = torch.get_default_dtype(), torch.random.get_rng_state()
    try:
        space = _ran([*settings, *GENERATOR, module, "model = Net()", *lines])
    finally:
        torch.set_default_dtype(before)
        torch.random.set_rng_state(state)
    if space is None:
        return False
    found = {f"start/{name}": value for name, value in space["model"].state_dict().items()}
    return all(np.array_equal(value.numpy(), arrays[name]) for name, value in found.items())


def parameter_names(module: str) -> list[str]:
    """Return the names of the parameters of a written module, in their order.

    Args:
        module: its source, with a class ``Net`` that takes no arguments.
    """
    space = _ran([module, "names = [name for name, _ in Net().named_parameters()]"])
    return [] if space is None else list(space["names"])


IMPORTS = (
    "import hashlib",
    "import math",
    "from pathlib import Path",
    "",
    "import numpy as np",
    "import torch",
    "import torch.nn.functional as F",
    "from torch import nn",
)
"""What every script imports."""


_LACKING = (
    ArithmeticError,
    ImportError,
    LookupError,
    NameError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def _ran(lines: Sequence[str]) -> dict[str, Any] | None:
    """Return the variables of a program; None where it lacks something."""
    with tempfile.TemporaryDirectory(prefix="optlab-script-") as folder:
        file = Path(folder) / "said.py"
        file.write_text("\n".join([*IMPORTS, *lines]), encoding="utf-8")
        try:
            return runpy.run_path(str(file))
        except _LACKING:
            return None  # what the lines do not say travels beside the script instead
