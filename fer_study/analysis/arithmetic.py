"""Evaluate the arithmetic of a claim's row, such as ``28000 / (7 * n) == 10``: no other code."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

import numpy as np

OPERATORS: dict[type[ast.AST], Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def total_variation(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Half the summed difference of two distributions over the same names, in [0, 1]."""
    first, second = (
        {name: n / sum(table.values()) for name, n in table.items()} for table in (before, after)
    )
    return sum(abs(first.get(name, 0) - second.get(name, 0)) for name in {**first, **second}) / 2


def imbalance(table: Mapping[str, float]) -> float:
    """The largest count by the smallest."""
    return max(table.values()) / min(table.values())


def without(table: Mapping[str, float], *names: float) -> dict[str, float]:
    """A table of counts less some of its rows."""
    return {name: count for name, count in table.items() if name not in names}


FUNCTIONS: dict[str, Callable] = {
    "abs": abs,
    "round": round,
    "min": min,
    "max": max,
    "sum": sum,
    "log": math.log,
    "mean": np.mean,
    "variance": np.var,
    "total_variation": total_variation,
    "imbalance": imbalance,
    "without": without,
}
ALLOWED = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.List,
    *OPERATORS,
)


def names_in(text: str) -> set[str]:
    """Names of values that an expression uses.

    Raises:
        ValueError: it is no expression, or does more than arithmetic.
    """
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except SyntaxError:
        raise ValueError(f"{text!r} is no expression") from None
    if wrong := [node for node in nodes if not isinstance(node, ALLOWED)]:
        raise ValueError(
            f"{text!r} holds a {type(wrong[0]).__name__}, allowed: arithmetic, comparisons and "
            "functions"
        )
    called = {
        node.func.id if isinstance(node.func, ast.Name) else ""
        for node in nodes
        if isinstance(node, ast.Call)
    }
    if unknown := called - FUNCTIONS.keys():
        raise ValueError(f"unknown function {min(unknown)!r}; known: {', '.join(FUNCTIONS)}")
    return {node.id for node in nodes if isinstance(node, ast.Name)} - FUNCTIONS.keys()


def is_comparison(text: str) -> bool:
    """Say whether the value of an expression is true or false."""

    def compares(node: ast.expr) -> bool:
        parts = node.values if isinstance(node, ast.BoolOp) else []
        return isinstance(node, ast.Compare) or (bool(parts) and all(map(compares, parts)))

    return compares(ast.parse(text, mode="eval").body)


def evaluate(text: str, values: Mapping[str, object]) -> object:
    """The value of an expression that ``names_in`` accepts."""
    return _value(ast.parse(text, mode="eval").body, values)


def _value(node: ast.expr, values: Mapping[str, object]) -> object:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return values[node.id]
        case ast.List():
            return [_value(part, values) for part in node.elts]
        case ast.UnaryOp():
            return OPERATORS[type(node.op)](_value(node.operand, values))
        case ast.BinOp():
            return OPERATORS[type(node.op)](_value(node.left, values), _value(node.right, values))
        case ast.BoolOp():
            return (all if isinstance(node.op, ast.And) else any)(
                _value(part, values) for part in node.values
            )
        case ast.Call():
            return FUNCTIONS[node.func.id](*(_value(part, values) for part in node.args))
    parts = [_value(part, values) for part in (node.left, *node.comparators)]
    return all(
        OPERATORS[type(op)](a, b) for op, a, b in zip(node.ops, parts[:-1], parts[1:], strict=True)
    )
