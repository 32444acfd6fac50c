"""Each operation in C++ against torch's, for all runs at once and for one run after the other."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.numerics.compiled.compiler import compiled
from optlab.training.capturing.arena import Span
from optlab.training.capturing.native.operands import Planned
from optlab.training.capturing.native.program import ARGUMENTS
from optlab.training.capturing.native.sources import HEAD, Body, bodies
from optlab.training.capturing.native.translation import Translator
from optlab.training.capturing.trace import Call, memory_of, recorded

RUNS = 3
aten = torch.ops.aten


def drawn(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def strided(*shape: int) -> torch.Tensor:
    """Return a tensor whose last two dimensions are exchanged in memory, inside longer rows."""
    *first, m, n = shape
    return drawn(*first, n, m + 2)[..., :m].transpose(-1, -2)


X, Y = drawn(RUNS, 5, 7), drawn(RUNS, 5, 7)
T = strided(RUNS, 5, 7)
ROW, COLUMN, SCALAR = drawn(RUNS, 1, 7), drawn(RUNS, 5, 1), torch.tensor(0.7).double()
CLASSES = torch.tensor([[0, 4, 2, 1, 3, 0, 2]]).expand(RUNS, 1, 7)
CASES: dict[str, tuple[Any, ...]] = {
    "add": (aten.add.Tensor, X, Y),
    "add, scaled": (aten.add.Tensor, X, Y, {"alpha": -0.3}),
    "add a number": (aten.add.Tensor, X, 0.3),
    "sub": (aten.sub.Tensor, X, T),
    "sub, in place": (aten.sub_.Tensor, X, T),
    "mul a row": (aten.mul.Tensor, T, ROW),
    "mul a column": (aten.mul.Tensor, X, COLUMN),
    "mul a scalar": (aten.mul.Tensor, X, SCALAR),
    "div": (aten.div.Tensor, X, T),
    "div, in place": (aten.div_.Tensor, T, 3.0),
    "neg": (aten.neg.default, T),
    "abs": (aten.abs.default, T),
    "sign": (aten.sign.default, T),
    "square root": (aten.sqrt.default, X.abs()),
    "reciprocal": (aten.reciprocal.default, X),
    "square": (aten.pow.Tensor_Scalar, T, 2),
    "relu": (aten.relu.default, T),
    "clamp_min": (aten.clamp_min.default, X, 0.2),
    "threshold": (aten.threshold.default, X, 0.2, -5.0),
    "threshold_backward": (aten.threshold_backward.default, X, T, 0.1),
    "maximum": (aten.maximum.default, X, T),
    "minimum": (aten.minimum.default, X, T),
    "exp": (aten.exp.default, T),
    "log": (aten.log.default, X.abs()),
    "log1p": (aten.log1p.default, X.abs()),
    "tanh": (aten.tanh.default, X),
    "sigmoid": (aten.sigmoid.default, X),
    "tanh_backward": (aten.tanh_backward.default, X, T),
    "sigmoid_backward": (aten.sigmoid_backward.default, X, T),
    "copy": (aten.copy_.default, T, X),
    "clone": (aten.clone.default, T),
    "sum": (aten.sum.default, T),
    "sum of rows": (aten.sum.dim_IntList, X, [2]),
    "sum of columns": (aten.sum.dim_IntList, X, [1]),
    "sum of columns, kept": (aten.sum.dim_IntList, X, [1], True),
    "sum, strided": (aten.sum.dim_IntList, T, [1]),
    "sum of both": (aten.sum.dim_IntList, T, [1, 2]),
    "sum over the runs": (aten.sum.dim_IntList, X, [0]),
    "mean": (aten.mean.dim, X, [2]),
    "norm": (aten.linalg_vector_norm.default, T, 2, [1, 2]),
    "log_softmax": (aten._log_softmax.default, X, 1, False),
    "log_softmax, strided": (aten._log_softmax.default, T, 2, False),
    "gather": (aten.gather.default, X, 1, CLASSES),
    "scatter_add, in place": (aten.scatter_add_.default, X, 1, CLASSES, drawn(RUNS, 1, 7)),
    "index_select": (aten.index_select.default, X, 2, torch.tensor([3, 0, 3])),
    "stack": (aten.stack.default, [X[:, 0, 0], Y[:, 0, 0], T[:, 0, 0]]),
    "bmm": (aten.bmm.default, X, drawn(RUNS, 7, 19)),
    "bmm, strided": (aten.bmm.default, T, strided(RUNS, 7, 33)),
    "bmm, one column": (aten.bmm.default, X, drawn(RUNS, 7, 1)),
    "bmm, full vectors": (aten.bmm.default, X, drawn(RUNS, 7, 16)),
    "bmm, the same for all": (aten.bmm.default, X, drawn(1, 7, 9).expand(RUNS, 7, 9)),
    "bmm, transposed and the same": (
        aten.bmm.default,
        X,
        drawn(1, 40, 7).expand(RUNS, 40, 7).transpose(1, 2),
    ),
    "baddbmm": (aten.baddbmm.default, COLUMN, X, drawn(RUNS, 7, 6)),
    "baddbmm, a row": (aten.baddbmm.default, drawn(RUNS, 1, 18), X, drawn(RUNS, 7, 18)),
}
ALONE = {"sum", "sum over the runs", "stack"}
"""What is not done for one run after the other."""


def planned(case: tuple[Any, ...], dtype: torch.dtype) -> tuple[Planned, torch.Tensor]:
    """Return an operation on memory of its own that is as before it, and what its result is."""
    operation, *given = case
    keywords = given.pop() if isinstance(given[-1], dict) else {}

    def own(value: Any) -> Any:
        if isinstance(value, list):
            return [own(one) for one in value]
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return value
        if 0 in value.stride():
            return value.to(dtype)
        return torch.empty_strided(value.size(), value.stride(), dtype=dtype).copy_(value)

    arguments = [own(value) for value in given]
    first = arguments[0].clone() if isinstance(arguments[0], torch.Tensor) else None
    with recorded() as calls:
        operation(*arguments, **keywords)
    (call,) = calls
    result = call.results[0].clone()
    if not call.mutates:
        call.results[0].fill_(-7.0)
    elif first is not None:
        arguments[0].copy_(first)
    one = Planned(0, call, call.arguments, call.keywords, call.results, {}, lambda: None)
    return one, result


def execute(translator: Translator, body: Body) -> None:
    call(translator, compiled(HEAD + body.source("one"), "one", ARGUMENTS, contracts=True))


def call(translator: Translator, function: Callable[..., None]) -> None:
    table = array("Q", [pair.one.data_ptr() for pair in translator.slots.all])
    numbers, runs = array("d", [0.0]), array("q", range(RUNS))
    function(*(one.buffer_info()[0] for one in (table, numbers, runs)), RUNS)


@pytest.fixture(scope="module", params=[torch.float64, torch.float32], ids=str)
def source(request: pytest.FixtureRequest) -> tuple[torch.dtype, str]:
    """The operations of all cases in one source, as ``case0_run`` and so on: compilers are slow."""
    parts = [
        made_body(case, request.param, way)[1].source(f"case{number}_{way}")
        for number, (name, case) in enumerate(CASES.items())
        for way in ways(name)
    ]
    return request.param, HEAD + "".join(parts)


def ways(name: str) -> tuple[str, ...]:
    return ("all",) if name in ALONE else ("all", "run")


def made_body(
    case: tuple[Any, ...], dtype: torch.dtype, way: str
) -> tuple[Translator, Body, Planned, torch.Tensor]:
    one, result = planned(case, dtype)
    translator = Translator(RUNS)
    operation = translator.translated(one, one, of_run=way == "run")
    body = Body(translator.slots)
    if way == "run":
        body.add_runs([operation])
    else:
        body.add_plain([operation])
    return translator, body, one, result


@pytest.mark.parametrize("name", CASES)
def test_that_an_operation_is_that_of_torch(name: str, source: tuple[torch.dtype, str]) -> None:
    dtype, text = source
    number = list(CASES).index(name)
    for way in ways(name):
        translator, body, one, result = made_body(CASES[name], dtype, way)
        assert body.source(f"case{number}_{way}") in text
        call(translator, compiled(text, f"case{number}_{way}", ARGUMENTS, contracts=True))
        tolerance = 1e-12 if dtype == torch.float64 else 2e-6
        torch.testing.assert_close(one.results[0], result, rtol=tolerance, atol=tolerance)


def test_that_values_which_are_no_numbers_stay_so() -> None:
    odd = torch.tensor([[float("nan"), -0.0, float("inf"), -float("inf"), 1.0]] * RUNS)
    other = torch.tensor([[1.0, 0.0, float("nan"), 2.0, float("nan")]] * RUNS)
    for case in (
        (aten.relu.default, odd),
        (aten.clamp_min.default, odd, 0.5),
        (aten.threshold.default, odd, 0.5, 3.0),
        (aten.threshold_backward.default, other, odd, 0.0),
        (aten.maximum.default, odd, other),
        (aten.minimum.default, odd, other),
        (aten.sign.default, odd),
    ):
        one, expected = planned(case, torch.float32)
        translator = Translator(RUNS)
        body = Body(translator.slots)
        body.add_plain([translator.translated(one, one, of_run=False)])
        execute(translator, body)
        assert torch.equal(one.results[0].isnan(), expected.isnan()), case[0]
        assert torch.equal(one.results[0].nan_to_num(), expected.nan_to_num()), case[0]


@pytest.mark.parametrize(
    "case",
    [
        (aten.pow.Tensor_Scalar, X, 3),
        (aten.linalg_vector_norm.default, X, 1, [1, 2]),
        (aten.cumsum.default, X, 1),
        (aten.mean.dim, T, [2]),
        (aten.scatter_add.default, X, 1, CLASSES, drawn(RUNS, 1, 7)),
        (aten.add.Tensor, X, float("inf")),
        # Libraries have faster kernels for large matrices.
        (aten.bmm.default, drawn(RUNS, 70, 64), drawn(RUNS, 64, 64)),
        (aten.gt.Tensor, X, Y),
    ],
    ids=lambda case: case[0].overloadpacket.__name__,
)
def test_that_what_is_not_known_is_left_to_torch(case: tuple[Any, ...]) -> None:
    one, _ = planned(case, torch.float64)
    assert bodies(Translator(RUNS), [one], [one], {}) == [(one, one)]


def sequence(*calls: Callable[[], torch.Tensor]) -> list[Planned]:
    found: list[Planned] = []
    for call in calls:
        with recorded() as its:
            call()
        found += [
            Planned(len(found), one, one.arguments, one.keywords, one.results, {}, lambda: None)
            for one in its
        ]
    return found


def test_that_memory_which_only_a_loop_needs_is_that_of_one_run() -> None:
    x, w, out = drawn(RUNS, 4, 6), drawn(RUNS, 6, 5), torch.empty(RUNS, 4, dtype=torch.float64)
    h, g = torch.empty(RUNS, 4, 5).double(), torch.empty(RUNS, 4, 5).double()
    calls = sequence(
        lambda: torch.bmm(x, w, out=h),
        lambda: torch.mul(h, 2.0, out=g),
        lambda: torch.sum(g, [2], out=out),
    )
    calls = [
        Planned(n, one.call, one.arguments, one.keywords, one.results, {}, lambda: None)
        for n, one in enumerate(calls)
    ]
    expected, kept = out.clone(), h.clone()
    h.fill_(-1.0)
    out.zero_()
    size = h.untyped_storage().nbytes()
    for spans, private in (
        ({memory_of(h): Span(size, 0, 1), memory_of(g): Span(size, 1, 2)}, True),
        ({memory_of(h): Span(size, 0, 3), memory_of(g): Span(size, 1, 2)}, False),
    ):
        translator = Translator(RUNS)
        (body,) = bodies(translator, calls, calls, spans)
        assert isinstance(body, Body)
        execute(translator, body)
        torch.testing.assert_close(out, expected)
        assert ("scratch" in body.source("one")) and bool((h == -1.0).all()) == private
    torch.testing.assert_close(h, kept)


def test_that_runs_whose_memory_lies_across_are_not_mixed() -> None:
    # The result of one run lies where another run's operand still is.
    memory = drawn(2 * RUNS * 8)
    x = memory[: RUNS * 8].view(RUNS, 8)
    y, z = torch.empty(RUNS, 8).double(), memory[8 : 8 + RUNS * 4].view(RUNS, 4)
    expected_y = x * 3.0
    expected_z = expected_y[:, :4] + 1.0
    add = Call(aten.add.Tensor, (y[:, :4], 1.0), {}, (z,))
    mul = Call(aten.mul.Tensor, (x, 3.0), {}, (y,))
    couples = [
        Planned(n, one, one.arguments, {}, one.results, {}, lambda: None)
        for n, one in enumerate((mul, add))
    ]
    translator = Translator(RUNS)
    (body,) = bodies(translator, couples, couples, {})
    assert isinstance(body, Body)
    execute(translator, body)
    torch.testing.assert_close(y, expected_y)
    torch.testing.assert_close(z, expected_z)


def test_that_a_product_writes_where_it_would_be_copied_to() -> None:
    x, w = drawn(RUNS, 4, 6), drawn(RUNS, 6, 5)
    flat = torch.zeros(RUNS, 40, dtype=torch.float64)
    target = flat[:, 10:30].view(RUNS, 4, 5)
    product = torch.empty(RUNS, 4, 5).double()
    calls = sequence(lambda: torch.bmm(x, w, out=product), lambda: target.copy_(product))
    flat.zero_()
    spans = {memory_of(product): Span(product.untyped_storage().nbytes(), 0, 1)}
    translator = Translator(RUNS)
    (body,) = bodies(translator, calls, calls, spans)
    assert isinstance(body, Body) and "__restrict" not in body.source("one")
    execute(translator, body)
    torch.testing.assert_close(target, x @ w)
    assert float(flat[:, :10].abs().max()) == float(flat[:, 30:].abs().max()) == 0.0
