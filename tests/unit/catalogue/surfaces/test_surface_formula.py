"""Typed-in formulas: a round trip against NumPy, and the message of each refusal."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab.catalogue.surfaces._formula import MAX_DEPTH, check_nodes, evaluate, parse
from optlab.catalogue.surfaces.formula import Formula
from optlab.core.errors import InvalidInput

Written = tuple[str, Callable[[Any, Any], Any]]
"""A formula as text, and the same as a NumPy function: both are built side by side, neither from
the other.
"""
POINTS = np.array([[0.3, -1.7], [1.9, 0.4], [-2.2, 3.1], [0.0, 0.0]])
ONE = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "abs": np.abs,
    "sigmoid": lambda a: 1.0 / (1.0 + np.exp(-a)),
}  # fmt: skip
TWO = {"min": np.minimum, "max": np.maximum}
SIGNS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}

numbers = st.floats(0.0, 50.0).map(
    lambda n: (f"{n:.6g}", lambda x, y, n=float(f"{n:.6g}"): n + 0.0 * x)
)
names = st.sampled_from(
    [
        ("x", lambda x, y: x),
        ("y", lambda x, y: y),
        ("x1", lambda x, y: x),
        ("x2", lambda x, y: y),
        ("pi", lambda x, y: math.pi + 0 * x),
    ]
)


def grown(inner: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    return st.one_of(
        st.tuples(st.sampled_from(sorted(ONE)), inner).map(
            lambda p: (f"{p[0]}({p[1][0]})", lambda x, y: ONE[p[0]](p[1][1](x, y)))
        ),
        st.tuples(st.sampled_from(sorted(TWO)), inner, inner).map(
            lambda p: (
                f"{p[0]}({p[1][0]}, {p[2][0]})",
                lambda x, y: TWO[p[0]](p[1][1](x, y), p[2][1](x, y)),
            )
        ),
        st.tuples(st.sampled_from(sorted(SIGNS)), inner, inner).map(
            lambda p: (
                f"({p[1][0]}){p[0]} ({p[2][0]})",
                lambda x, y: SIGNS[p[0]](p[1][1](x, y), p[2][1](x, y)),
            )
        ),
        inner.map(lambda p: (f"-({p[0]})", lambda x, y: -p[1](x, y))),
        st.tuples(inner, st.sampled_from(["^", "**"]), st.integers(0, 4)).map(
            lambda p: (f"({p[0][0]}){p[1]}{p[2]}", lambda x, y: p[0][1](x, y) ** p[2])
        ),
    )


def computed(text: str, *points: tuple[float, float]) -> list[float]:
    at = torch.tensor(points or POINTS, dtype=torch.float64)
    result: list[float] = torch.broadcast_to(
        evaluate(parse(text), at.unbind(-1)), (len(at),)
    ).tolist()
    return result


@settings(max_examples=150, deadline=None)
@given(st.recursive(numbers | names, grown, max_leaves=8))
def test_that_a_formula_means_what_numpy_computes(written: Written) -> None:
    text, function = written
    if len(text) > 400:
        return
    with np.errstate(all="ignore"):
        expected = function(POINTS[:, 0], POINTS[:, 1])
    # there trigonometric functions of rounding are noise, and so are differences
    large = np.abs(expected) > 1e12
    result = np.array(computed(text))
    assert np.allclose(
        result[~large], expected[~large], rtol=1e-6, atol=1e-6, equal_nan=True
    ) or _wild(text, function)


def _wild(text: str, function: Callable[[Any, Any], Any]) -> bool:
    """Whether a nudge of 1e-13 changes the value more than the tolerance: then no two libraries
    agree.
    """
    with np.errstate(all="ignore"):
        a = function(POINTS[:, 0], POINTS[:, 1])
        b = function(POINTS[:, 0] * (1 + 1e-13) + 1e-15, POINTS[:, 1] * (1 - 1e-13) + 1e-15)
    return not np.allclose(a, b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-x^2", -4.0),
        ("2^3^2", 512.0),
        ("2^-1", 0.5),
        ("8/4/2", 1.0),
        ("8-4-2", 2.0),
        ("2+3*4", 14.0),
        ("- -x", 2.0),
        ("2*-x", -4.0),
        ("e^1", math.e),
        ("1.5e1 + .5", 15.5),
        ("3 − 2·x × 2", -5.0),
        ("min(3, x, 5)", 2.0),
        ("(-x)**3", -8.0),
        ("y^x", 9.0),
    ],
)
def test_that_operators_bind_as_in_mathematics(text: str, expected: float) -> None:
    assert computed(text, (2.0, 3.0)) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at character 1: it is empty"),
        ("x +", "at character 4: the formula ends where"),
        ("2x", "at character 2: an operator is missing before 'x' (write * to multiply)"),
        ("(x + 1", "the parenthesis opened at character 1 is not closed"),
        ("x)", "at character 2: ')' is not expected here"),
        ("sin x", "at character 1: sin needs its argument in parentheses"),
        ("sin(x, y)", "at character 1: sin takes one argument, not 2"),
        ("min(x)", "min takes 2 to 8 arguments, not 1"),
        ("z + 1", "at character 1: 'z' is not known"),
        ("1e999", "the number '1e999' is too large"),
        ("__import__(os)", "'__import__' is not known"),
        ("__import__('os')", "has no meaning in a formula"),
        ("x.real", "at character 2: '.' has no meaning"),
        ("x.__class__", "at character 2: '.' has no meaning"),
        ("eval(x)", "'eval' is not known"),
        ("neg(x)", "'neg' is not known"),
        ("x[0]", "'[' has no meaning"),
        ("lambda: x", "':' has no meaning"),
        ("x == y", "'=' has no meaning"),
        ("x; y", "';' has no meaning"),
        ("tanhh(x)", "did you mean tanh?"),
    ],
)
def test_that_an_invalid_formula_is_refused_with_a_position(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Formula.build({"expression": text}, "surface")
    assert message in str(refusal.value) and refusal.value.field == "surface.expression"
    assert str(refusal.value).count("\n") == 0


@pytest.mark.parametrize(
    "text",
    [
        "(" * 300 + "x",
        "-" * 300 + "x",
        "x^" * 190 + "x",
        "sin(" * 99 + "x",
        "(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1),
    ],
)
def test_that_depth_is_bounded(text: str) -> None:
    with pytest.raises(InvalidInput, match="nested more than"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "x.__class__",
        "x if x else y",
        "lambda: x",
        "[x, y]",
        "x[0]",
        "x < y",
        "x and y",
        "x // y",
        "~x",
        "1",
        "'x'",
        "None",
        "z",
        "sin",
        "x(y)",
        "eval(x)",
        "sin(x=y)",
        "sin(*x)",
        "sin(x)(y)",
        "(x := y)",
    ],
)
def test_that_a_syntax_tree_with_anything_else_in_it_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="A formula may not contain"):
        check_nodes(ast.parse(text, mode="eval"))
    check_nodes(ast.parse("-sin(x)**2.0 + max(pi, x1*y)/e - +x2", mode="eval"))


PIECES = [
    *"xye(),+-*/^.;:='\"[]{}_\n\\ #@!%&|~<>²½０ｘ",
    *("**", "//", "−", "·", "×", "π", "pi", "x1", "x2", "z", "sin", "min", "exp", "neg", "eval"),
    *(
        "0",
        "1",
        "007",
        "1_0",
        "0x1",
        "1e3",
        "1e",
        ".5",
        "1.",
        "2j",
        "1e999",
        "lambda",
        "if",
        "None",
    ),
    *("__import__", "os", "in", "not", "await", "yield", "f'x'", "sin(", "min(", ", x)"),
]


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=40))
def test_that_any_text_is_a_formula_or_is_refused_in_one_sentence(text: str) -> None:
    try:
        tree = parse(text)
    except InvalidInput as refusal:
        assert str(refusal).startswith("surface.expression is '")
        assert str(refusal).endswith(".") and refusal.field == "surface.expression"
    else:
        check_nodes(tree)
        assert len(computed(text)) == len(POINTS)


def test_that_sensible_depth_and_length_are_allowed_and_more_is_not() -> None:
    assert computed("(" * 30 + "x" + ")" * 30, (2.0, 0.0)) == [2.0]
    assert computed("+".join(["x"] * 200), (1.0, 0.0)) == [200.0]
    with pytest.raises(InvalidInput, match="at most 400"):
        parse("+".join(["x"] * 201))


def test_that_undefined_values_are_nan_and_raise_nothing() -> None:
    result = computed("log(x) + sqrt(y)", (-1.0, 1.0), (1.0, 4.0), (1.0, -1.0))
    assert math.isnan(result[0]) and result[1] == 2.0 and math.isnan(result[2])
    assert computed("1/x", (0.0, 0.0)) == [math.inf]


def test_that_powers_can_be_differentiated_where_the_base_is_zero_or_negative() -> None:
    surface = Formula.build({"expression": "x^2 + y^3"}, "surface")
    at = torch.tensor([[0.0, -2.0]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(surface.value(at).sum(), at, create_graph=True)
    assert slope.tolist() == [[0.0, 12.0]]
    assert torch.autograd.grad(slope.sum(), at)[0].tolist() == [[2.0, -12.0]]


def test_that_a_formula_without_y_has_one_variable() -> None:
    assert Formula.build({"expression": "x^2"}, "surface").dimension == 1
    assert Formula.build({"expression": "x1 * x2"}, "surface").dimension == 2
    constant = Formula.build({"expression": "3"}, "surface")
    assert constant.dimension == 1 and constant.value(torch.zeros(5, 1)).tolist() == [3.0] * 5
