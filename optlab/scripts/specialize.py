"""The code of a component, written again for one run with its present fields.

A script must say the same as the catalogue, so nothing of it is written twice: the functions of a
component are read as source, choices and other fixed fields become constants, branches that cannot
be reached go, and the functions that it calls follow.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import operator
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optlab.catalogue.optimizers._inner import inner_rule
from optlab.catalogue.optimizers.base import Optimizer
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.scripts.code_fields import Fields
from optlab.scripts.source_text import text


@dataclass(frozen=True)
class _Called:
    name: str
    node: ast.FunctionDef | ast.ClassDef
    fields: tuple[str, ...]


class Specializer:
    """Writes functions again, and collects the functions that they call.

    One for a script: no two functions get the same name, and none is written twice.

    Attributes:
        helpers: the functions that were called, each after those that it calls.
    """

    def __init__(self) -> None:
        self.helpers: dict[Any, _Called] = {}
        self._written: set[str] = set()

    def saved(self) -> tuple[dict[Any, _Called], set[str]]:
        """Return the state, for :meth:`restore`."""
        return dict(self.helpers), set(self._written)

    def restore(self, state: tuple[dict[Any, _Called], set[str]]) -> None:
        """Go back to a state: what was collected since is not in the script."""
        self.helpers, self._written = dict(state[0]), set(state[1])

    def function(
        self, function: Callable[..., Any], spaces: Mapping[str, Fields], name: str = ""
    ) -> ast.FunctionDef:
        """Return a function of a component, specialized.

        Args:
            function: of the component.
            spaces: parameter → what stands for it; these parameters are left out.
            name: of the new function; its own by default.

        Raises:
            InvalidInput: its source is not there, as in a packaged program.
        """
        node = parsed(function)
        node.args.args = [one for one in node.args.args if one.arg not in spaces]
        body = _Rewriter(self, function, spaces, _stored(node)).rewritten(node)
        body.name = name or node.name
        return body

    def helper(self, function: Any, space: Fields | None) -> _Called:
        """Return the specialized form of a function that is called."""
        owner = None if space is None or space.owner is None else type(space.owner)
        constants = () if space is None else tuple(sorted(map(repr, space.constants.items())))
        key = (function, owner, constants)
        if key not in self.helpers:
            if inspect.isclass(function):
                tree = ast.parse(textwrap.dedent(_source(function))).body[0]
                assert isinstance(tree, ast.ClassDef)
                _shorten(tree)
                self.helpers[key] = _Called(function.__name__, tree, ())
                return self.helpers[key]
            node = parsed(function)
            name = self._free(function)
            inner: dict[str, Fields] = {}
            if space is not None:
                parameter = "self" if space.owner is not None else "h"
                # A field whose name the function gives to something else gets a name of its own.
                taken = _stored(node)
                names = {one: f"{one}_" if one in taken else one for one in space.names}
                if "step" in names:
                    names["step"] = "t_" if "t" in taken else "t"
                inner = {parameter: Fields(space.constants, names, space.owner)}
            node = self.function(function, inner, name)
            fields = tuple(inner[next(iter(inner))].used) if inner else ()
            if inner:
                used = inner[next(iter(inner))].used
                node.args.args += [ast.arg(used[one]) for one in fields]
            self.helpers[key] = _Called(name, node, fields)
        return self.helpers[key]

    def _free(self, function: Any) -> str:
        name = str(function.__name__).lstrip("_")
        taken = {helper.name for helper in self.helpers.values()}
        if name in taken or name in _RESERVED or hasattr(builtins, name):
            name = f"{name}_of_{function.__module__.rpartition('.')[2].lstrip('_')}"
        number, stem = 2, name
        while name in taken:
            name, number = f"{stem}_{number}", number + 1
        return name

    def fresh(self) -> list[ast.FunctionDef | ast.ClassDef]:
        """Return the functions that were collected since the last call."""
        found = [one for one in self.helpers.values() if one.name not in self._written]
        self._written |= {one.name for one in found}
        return [one.node for one in found]

    def written(self) -> str:
        """Return the functions that were collected since the last call as text."""
        return "\n\n\n".join(map(text, self.fresh()))


_KEPT = frozenset({"difficulty"})
"""Functions whose results a script has, so that their code does not follow."""
_RESERVED = frozenset(
    {
        "average",
        "averaged",
        "averages",
        "backward",
        "batch",
        "best",
        "by_target",
        "clip",
        "clipped",
        "data",
        "decaying",
        "difficulty",
        "drawn",
        "dropped",
        "epoch",
        "epoch_order",
        "evaluate",
        "examples",
        "fans",
        "final",
        "first",
        "generator",
        "gradients",
        "here",
        "last",
        "losses",
        "loss",
        "masks",
        "memory",
        "model",
        "move",
        "names",
        "norm",
        "of",
        "optimizer",
        "order",
        "parameters",
        "parts",
        "past",
        "point",
        "position",
        "rate",
        "reason",
        "rng",
        "rows",
        "sigma",
        "source",
        "staleness",
        "start",
        "state",
        "step",
        "update",
        "values",
        "verdict",
        "watched",
        "weights",
        "width",
        "x",
        "y",
    }
)
"""Names that a script uses itself."""


def parsed(function: Callable[..., Any]) -> ast.FunctionDef:
    """Return the syntax tree of a function without annotations, decorators and long docstring.

    Raises:
        InvalidInput: its source is not there.
    """
    try:
        tree = ast.parse(textwrap.dedent(_source(inspect.unwrap(function)))).body[0]
    except SyntaxError:
        tree = ast.Pass()
    if not isinstance(tree, ast.FunctionDef):
        raise InvalidInput(
            "The files of OptLab have changed since it was started; start it again.", "format"
        )
    tree.decorator_list = []
    tree.returns = None
    for argument in (*tree.args.args, *tree.args.kwonlyargs):
        argument.annotation = None
    _shorten(tree)
    return tree


def _source(of: Any) -> str:
    try:
        return inspect.getsource(of)
    except (OSError, TypeError):
        raise InvalidInput(
            "A script is written from the source of OptLab, which the packaged program does not "
            "have; install OptLab with pip and export there.",
            "format",
        ) from None


def _shorten(tree: ast.FunctionDef | ast.ClassDef) -> None:
    """Leave the first line of a docstring."""
    words = ast.get_docstring(tree)
    if words is None:
        return
    first = words.splitlines()[0].replace("``", "").replace(" [R, P]", "").replace(" [R]", "")
    tree.body[0] = ast.Expr(ast.Constant(first))
    if isinstance(tree, ast.FunctionDef) and len(tree.body) == 1:
        tree.body.append(ast.Pass())


def _stored(tree: ast.AST) -> set[str]:
    """Return the names that a function gives to something: its variables and parameters."""
    found = {one.arg for one in ast.walk(tree) if isinstance(one, ast.arg)}
    return found | {
        one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and _stores(one.ctx)
    }


def _stores(context: ast.expr_context) -> bool:
    return isinstance(context, ast.Store)


def constant(value: Any) -> ast.expr:
    """Return the expression of a number, text, flag or tuple."""
    return ast.parse(repr(value), mode="eval").body


def begins_anew(rule: type[Optimizer]) -> bool:
    """Return whether the state of a rule begins otherwise than by its ``start``."""
    functions = [vars(one)["begin"] for one in rule.__mro__ if "begin" in vars(one)]
    return functions[0] is not vars(Optimizer)["begin"]


class _Rewriter(ast.NodeTransformer):
    """Rewrites the body of one function."""

    def __init__(
        self,
        to: Specializer,
        function: Callable[..., Any],
        spaces: Mapping[str, Fields],
        variables: Iterable[str],
    ) -> None:
        self._to, self._spaces = to, spaces
        self._globals = inspect.unwrap(function).__globals__
        self._variables = set(variables)
        self._rules: dict[str, Any] = {}

    def rewritten(self, node: ast.FunctionDef) -> ast.FunctionDef:
        body: list[ast.stmt] = []
        for statement in node.body:
            result = self.visit(statement)
            body += result if isinstance(result, list) else [] if result is None else [result]
        node.body = _reachable(body)
        return node

    # --- fields ---------------------------------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        space = self._space(node.value)
        if space is None:
            return self.generic_visit(node)
        if node.attr in space.names:
            return ast.Name(space.variable(node.attr), ast.Load())
        if node.attr in space.constants:
            return constant(space.constants[node.attr])
        raise InvalidInput(f"A script cannot say what {ast.unparse(node)} is.", "format")

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if self._inner_rule(node):
            return None
        return self.generic_visit(node)

    def _inner_rule(self, node: ast.Assign) -> bool:
        """Note an inner rule and its fields, where a statement looks them up."""
        call, target = node.value, node.targets[0]
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            return False
        function = self._globals.get(call.func.id)
        if function is not inner_rule:
            return False
        assert isinstance(target, ast.Tuple) and not call.keywords
        name, outer = self.visit(call.args[0]), self._space(call.args[1])
        rule, fields = target.elts
        assert isinstance(name, ast.Constant) and outer is not None
        assert isinstance(rule, ast.Name) and isinstance(fields, ast.Name)
        given = Hyperparameters(**{one: one for one in outer.names})
        found, h = inner_rule(str(name.value), given)
        values = {one: value for one, value in vars(h).items() if one not in ("layout", "seeds")}
        shared = {one: outer.names[one] for one in values if values[one] == one}
        constants = {one: value for one, value in values.items() if one not in shared}
        self._rules[rule.id] = found
        self._spaces = {**self._spaces, fields.id: Fields(constants, shared, used=outer.used)}
        return True

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if _stores(node.ctx) or node.id in self._variables or node.id in _KEPT:
            return node
        if node.id == "functional":
            return ast.Name("F", ast.Load())
        value = self._globals.get(node.id)
        if type(value) in (int, float, str, bool, tuple):
            return constant(value)
        if inspect.isclass(value) and value.__module__.startswith("optlab."):
            return ast.Name(self._to.helper(value, None).name, ast.Load())
        if self._own(value):
            return ast.Name(self._to.helper(value, None).name, ast.Load())
        return node

    def _space(self, node: ast.expr) -> Fields | None:
        return self._spaces.get(node.id) if isinstance(node, ast.Name) else None

    @staticmethod
    def _own(value: Any) -> bool:
        return isinstance(value, types.FunctionType) and value.__module__.startswith("optlab.")

    # --- calls ----------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> ast.AST:
        known = self._known(node)
        if known is not None:
            return ast.Constant(known)
        called, space = self._called(node.func)
        if called is None:
            return self.generic_visit(node)
        arguments = []
        for argument in node.args:
            given = self._space(argument)
            if given is None:
                arguments.append(self.visit(argument))
            else:
                space = given
        if called.__name__ in _KEPT:
            return self.generic_visit(node)
        helper = self._to.helper(called, space)
        keywords = [ast.keyword(one.arg, self.visit(one.value)) for one in node.keywords]
        if helper.fields:
            assert space is not None
            arguments += [ast.Name(space.variable(one), ast.Load()) for one in helper.fields]
        return ast.Call(ast.Name(helper.name, ast.Load()), arguments, keywords)

    def _called(self, func: ast.expr) -> tuple[Any, Fields | None]:
        """Return the function of OptLab that is called, and the fields whose method it is."""
        if isinstance(func, ast.Name) and func.id not in self._variables:
            value = self._globals.get(func.id)
            return (value, None) if self._own(value) else (None, None)
        if isinstance(func, ast.Attribute):
            if isinstance(func.value, ast.Name) and func.value.id in self._rules:
                rule = self._rules[func.value.id]
                begins = func.attr == "begin" and not begins_anew(rule)
                return getattr(rule, "start" if begins else func.attr), None
            space = self._space(func.value)
            if space is not None and space.owner is not None:
                method = getattr(type(space.owner), func.attr, None)
                if self._own(method):
                    return method, space
            if isinstance(func.value, ast.Name):
                module = self._globals.get(func.value.id)
                if isinstance(module, types.ModuleType) and module.__name__.startswith("optlab."):
                    return getattr(module, func.attr), None
        return None, None

    def _known(self, node: ast.Call) -> bool | None:
        """Return the answer of a question about the type of a field; None for other calls."""
        if not isinstance(node.func, ast.Name) or len(node.args) != 2:
            return None
        if node.func.id == "hasattr":
            return False  # of a column of several runs; here every field is a number
        if node.func.id == "isinstance" and isinstance(node.args[1], ast.Name):
            asked = self.visit(node.args[0])
            if isinstance(asked, ast.Constant):
                return type(asked.value).__name__ == node.args[1].id
        return None

    # --- what cannot be reached -----------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        (right,) = node.comparators if len(node.comparators) == 1 else (None,)
        compare = _COMPARED.get(type(node.ops[0]))
        if compare and isinstance(node.left, ast.Constant) and isinstance(right, ast.Constant):
            return ast.Constant(compare(node.left.value, right.value))
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.Constant(not node.operand.value)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        decisive = isinstance(node.op, ast.Or)
        left: list[ast.expr] = []
        for value in node.values:
            if isinstance(value, ast.Constant):
                if bool(value.value) is decisive:
                    return value if not left else ast.BoolOp(node.op, [*left, value])
            else:
                left.append(value)
        if not left:
            return ast.Constant(not decisive)
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        self.generic_visit(node)
        values: list[ast.expr] = []
        for one in node.values:
            value = one
            if isinstance(one, ast.FormattedValue) and isinstance(one.value, ast.Constant):
                form = "" if one.format_spec is None else _form(one.format_spec)
                value = ast.Constant(format(one.value.value, form))
            before = values[-1] if values else None
            if isinstance(value, ast.Constant) and isinstance(before, ast.Constant):
                values[-1] = ast.Constant(f"{before.value!s}{value.value!s}")
            else:
                values.append(value)
        return ast.JoinedStr(values)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        node.test = self.visit(node.test)
        if all(isinstance(one, ast.Raise) for one in node.body) and not node.orelse:
            return []  # what the export has checked already
        if isinstance(node.test, ast.Constant):
            chosen = node.body if node.test.value else node.orelse
            return [one for part in chosen for one in self._list(self.visit(part))]
        node.body = [one for part in node.body for one in self._list(self.visit(part))]
        node.orelse = [one for part in node.orelse for one in self._list(self.visit(part))]
        return node

    @staticmethod
    def _list(result: Any) -> list[ast.stmt]:
        return result if isinstance(result, list) else [] if result is None else [result]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return ast.Assign([node.target], self.visit(node.value))


_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, those: one in those,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


def _form(spec: ast.expr) -> str:
    """Return the format of a value in a text, such as ``.3g``."""
    assert isinstance(spec, ast.JoinedStr)
    return "".join(str(one.value) for one in spec.values if isinstance(one, ast.Constant))


def _reachable(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements up to the first that returns."""
    for index, statement in enumerate(body):
        if isinstance(statement, ast.Return):
            return body[: index + 1]
    return body
