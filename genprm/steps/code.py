"""Finds where a new step begins in code: Python by its syntax.

Parses and never runs the code; knows no other language. Solutions are untrusted: whatever the
parser refuses, for any reason, is treated as prose.
"""

from __future__ import annotations

import ast
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise

from genprm.steps.prose import Region, blank_line_cuts, fences, line_starts

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def code_cuts(text: str) -> Iterator[int]:
    """A step is a header, a compound statement, or a group of simple statements.

    Python, bare or as one fenced block: the header of a function or class (decorators, signature,
    docstring) is a step, and so are a loop or another compound statement with its body, and simple
    statements up to a blank line or a comment; a comment belongs to the code after it. Functions
    are cut at the top level and inside classes; a function within a function stays whole.

    Anything else (prose, another language, a syntax error) is cut at blank lines and around
    fenced blocks, which stay whole.
    """
    blocks = fences(text)
    begin, end = _inside_of_lone_fence(text, blocks) or (0, len(text))
    code = textwrap.dedent(text[begin:end])  # keeps the number of lines
    tree = _parse(code)
    if tree is None:
        yield from blank_line_cuts(text)
        for block in blocks:
            yield from block
        return
    starts = line_starts(text[begin:end])
    lines = [code[a:b] for a, b in pairwise([*line_starts(code), len(code)])]
    for line in _step_lines(tree.body, lines):
        yield begin + starts[line - 1]


def _inside_of_lone_fence(text: str, blocks: list[Region]) -> Region | None:
    """The characters inside the fence if the text is one fenced block and nothing else."""
    if len(blocks) != 1:
        return None
    begin, end = blocks[0]
    lines = [start for start in line_starts(text) if begin < start < end]
    if not lines or text[:begin].strip() or text[end:].strip():
        return None
    is_closed = set(text[lines[-1] : end].strip()) in ({"`"}, {"~"})
    return lines[0], lines[-1] if is_closed else end


def _parse(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "2x" in prose: an invalid literal, of no interest
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # covers null bytes, lone surrogates, thousands of nested operators


def _step_lines(
    body: Sequence[ast.stmt], lines: Sequence[str], in_function: bool = False
) -> Iterator[int]:
    """The lines (from 1) at which the steps in one block of statements begin."""
    previous: ast.stmt | None = None
    for node in body:
        if previous is not None and _begins_line(node, lines):
            adjacent = _first_line(node) == _last_line(previous) + 1
            if not (adjacent and _is_simple(previous) and _is_simple(node)):
                yield _with_comments(_first_line(node), _last_line(previous), lines)
        if isinstance(node, _Definition) and not in_function:
            yield from _lines_in_definition(node, lines)
        previous = node


def _lines_in_definition(node: _Definition, lines: Sequence[str]) -> Iterator[int]:
    header_end, body = node.lineno, node.body
    if ast.get_docstring(node, clean=False) is not None:
        header_end, body = _last_line(body[0]), body[1:]
    if body and _begins_line(body[0], lines):
        yield _with_comments(_first_line(body[0]), header_end, lines)
    yield from _step_lines(body, lines, in_function=not isinstance(node, ast.ClassDef))


def _with_comments(first: int, after: int, lines: Sequence[str]) -> int:
    """The first of the comment lines right above line `first`, blank lines between allowed."""
    begin = first
    for line in range(first - 1, after, -1):
        text = lines[line - 1].strip()
        if text.startswith("#"):
            begin = line
        elif text:
            break
    return begin


def _is_simple(node: ast.stmt) -> bool:
    return not (hasattr(node, "body") or hasattr(node, "cases"))


def _begins_line(node: ast.stmt, lines: Sequence[str]) -> bool:
    """Whether only white space comes before the statement on its line: not in `a = 1; b = 2`."""
    return not lines[node.lineno - 1][: node.col_offset].strip()


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _last_line(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno
