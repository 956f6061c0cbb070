"""The program in a text: which blocks are code, what they define, which function is meant.

Parses untrusted code and never runs it. Knows nothing of tests or of the sandbox.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

PYTHON = ("python", "python3", "py", "py3")
CELL = "# %%"  # between the blocks of a program, as editors mark cells
# The fence of a block, also behind the marker of a list item. One with a backtick behind it is
# code within a line.
_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d+[.)])[ \t]+)?(```+(?=[^`]*$)|~~~+)[ \t]*\{?\.?([\w+-]*)")
_DEFINITION = re.compile(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_CODE = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class|\w+[ \t]*=[ \t]*lambda)\b", re.MULTILINE)
_SESSION = re.compile(r"^>>> ", re.MULTILINE)
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Cell:
    """A block of a program. `tree` is None if it does not parse; `names` are those of its functions
    and classes."""

    code: str
    names: tuple[str, ...]
    tree: ast.Module | None = field(default=None, compare=False)


def find_program(text: str) -> str:
    """The program of a text: its Python blocks, and those without a language if no Python block
    defines anything; without both the text. Lines of CELL separate the blocks."""
    blocks = list(fenced_blocks(text))
    parts = [code for language, code in blocks if language.lower() in PYTHON]
    if not any(_CODE.search(code) for code in parts):
        parts = [code for language, code in blocks if language.lower() in ("", *PYTHON)]
    cells = list[str]()
    for code in parts or [text]:
        # A block may go on where the last one stopped, in the middle of a function or class.
        goes_on = cells and parse(code) is None and not _is_indented(parts[0])
        if goes_on and parse(cells[-1] + code):
            cells[-1] += code
        else:
            # only where needed, because it also changes blank lines in strings
            cells.append(textwrap.dedent(code) if _is_indented(code) else code)
    return f"{CELL}\n".join(cells)


def read_cells(program: str) -> list[Cell]:
    """The cells of a program."""
    codes = re.split(rf"^{CELL}$\n?", program, flags=re.MULTILINE)
    return [_cell(code) for code in codes if code.strip()]


def fenced_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of every fenced block; an unclosed one goes to the end. What is indented
    as far as its fence loses that indentation."""
    fence, language, indent, lines = "", "", 0, list[str]()
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if not fence and match:
            fence, language, indent, lines = match[1], match[2], match.start(1), []
        elif fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            yield language, "\n".join(lines) + "\n"
            fence = ""
        elif fence:
            lines.append(line[:indent].lstrip() + line[indent:])
    if fence:
        yield language, "\n".join(lines) + "\n"


def parse(code: str) -> ast.Module | None:
    """The syntax tree; None for what the parser refuses, for whatever reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and literals: of no interest here
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def statements(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """The statements that run when a module does, in order: what is in functions and classes does
    not count, what is in `if`, `try` or a loop does."""
    todo = [*reversed(body)]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, Definition):
            inner = [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.expr)]
            todo += reversed(inner)


def choose_function(cells: Sequence[Cell], text: str, arguments: int | None) -> str | None:
    """The function that a task without a named entry point means: among those that take as many
    arguments the only one that `text` names, else the last one that no other function uses.

    `arguments` is None if not known. None without any function.
    """
    functions: dict[str, Function | ast.Lambda] = {}
    for cell in cells:
        for name, function in _functions(cell.tree):
            functions.pop(name, None)  # a later definition also takes the later place
            functions[name] = function
    fitting = [n for n, f in functions.items() if arguments is None or _takes(f.args, arguments)]
    mentions = [name for name in fitting if re.search(rf"\b{re.escape(name)}\b", text)]
    if len(mentions) == 1:
        return mentions[0]
    candidates = mentions or fitting
    uses = {name: names_in(functions[name]) for name in candidates}
    roots = [
        n for n in candidates if not any(n in uses[other] for other in candidates if other != n)
    ]
    return next(reversed(roots or candidates), None)


def names_in(node: ast.AST) -> set[str]:
    """All names that are read in a piece of code."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _functions(tree: ast.Module | None) -> Iterator[tuple[str, Function | ast.Lambda]]:
    for node in statements(tree.body if tree else ()):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name, node
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda() as function):
                yield name, function


def _takes(parameters: ast.arguments, arguments: int) -> bool:
    most = len(parameters.posonlyargs) + len(parameters.args)
    least = most - len(parameters.defaults)
    return least <= arguments and (arguments <= most or parameters.vararg is not None)


def _cell(code: str) -> Cell:
    tree = parse(code)
    session = _SESSION.search(code)
    if tree is None and session and (head := parse(code[: session.start()])) and head.body:
        code, tree = code[: session.start()], head  # what follows shows how to use it
    if tree is None:
        return Cell(code, tuple(_DEFINITION.findall(code)))
    classes = [node.name for node in statements(tree.body) if isinstance(node, ast.ClassDef)]
    return Cell(code, (*classes, *(name for name, _ in _functions(tree))), tree)


def _is_indented(code: str) -> bool:
    return code.lstrip("\n")[:1].isspace()
