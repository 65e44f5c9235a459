"""The examples of types in typed/, which mypy and pyright check, are run: what is right for them, and what is wrong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typed import calls, every, functions

import allcores as ac
from allcores._engine.registry import FUNCTIONS


@pytest.mark.parametrize(
    "function",
    [*functions.FUNCTIONS, *calls.FUNCTIONS, every.plain, every.fallback],
    ids=lambda function: function.__name__,
)
def test_it_runs(function):
    function()


def test_each_public_name_is_annotated():
    """Everything but what is generic by nature says what it takes and returns."""
    for name in ac.__all__:
        value = getattr(ac, name)
        if callable(value) and not isinstance(value, type):
            assert "return" in value.__annotations__, name


def wrong_calls() -> list[Any]:
    """The statements that only type checkers see."""
    return [
        pytest.param(module, ast.unparse(statement), id=ast.unparse(statement))
        for module in (functions, calls)
        for node in ast.walk(ast.parse(Path(module.__file__).read_text()))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
    ]


@pytest.mark.parametrize(("module", "statement"), wrong_calls())
def test_what_type_checkers_refuse_is_an_error(module, statement):
    with pytest.raises((TypeError, ValueError, AttributeError)):
        exec(statement, dict(vars(module)))


EVERY = '''\
"""The plain call of every function of arrays, for type checkers: written by test_typed.py from the registry."""

import numpy as np

import allcores as ac

x = np.arange(12.0)
y = x[::-1]
sorted_x = x
'''


def written() -> Iterator[str]:
    yield EVERY
    for name, namespace in (("plain", "ac"), ("fallback", "ac.fallback")):
        yield f"\ndef {name}() -> None:"
        yield from (f"    {row.call(namespace)}" for row in FUNCTIONS.values())
        yield ""


def test_every_function_is_checked():
    """Written anew (`python tests/test_typed.py`) since a row changed?"""
    assert Path(every.__file__).read_text() == "\n".join(written())


if __name__ == "__main__":
    Path(every.__file__).write_text("\n".join(written()))
