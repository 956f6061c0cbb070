"""The program in a text: which blocks are code, what they define, which function is meant.

Parses untrusted code and never runs it. Knows nothing of tests or of the sandbox.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

PYTHON = ("python", "python3", "py", "py3")
SESSIONS = ("pycon", "pycon3", "python-repl", "doctest")
CELL = "# %%"  # between the blocks of a program, as editors mark cells
# The fence of a block, also behind the marker of a list item. One with a backtick behind it is
# code within a line.
_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d+[.)])[ \t]+)?(```+(?=[^`]*$)|~~~+)[ \t]*\{?\.?([\w+-]*)")
_DEFINITION = re.compile(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_CODE = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class|\w+[ \t]*=[ \t]*lambda)\b", re.MULTILINE)
_SESSION = re.compile(r"^>>> ", re.MULTILINE)
_INPUT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: (.*)|)$", re.MULTILINE)
# How a program begins, or a part of it, in a text without fences.
_START = re.compile(
    r"([ \t]*)(?:@\w|(?:async[ \t]+def|def|class|import|from)[ \t]|\w+(?:[ \t]*:[^=]+)?[ \t]*=[^=])"
)
_RETURN = re.compile(r"([ \t]*)return\b")
_MOST_LINES = 1000  # of such a part: bounds the time that it takes to find its end
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
    defines anything, and interactive sessions if these do not either; without all of them what is
    Python in the text itself, or else the text. Lines of CELL separate the blocks."""
    blocks = [(name.lower(), _without_prompts(code)) for name, code in fenced_blocks(text)]
    tiers = [
        [code for language, code in blocks if language in languages]
        for languages in (PYTHON, ("", *PYTHON), ("", *PYTHON, *SESSIONS))
    ]
    parts = next((codes for codes in tiers if any(map(_CODE.search, codes))), [])
    parts = parts or _programs_in_prose(text) or tiers[1]
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
    cells = list[Cell]()
    names = set[str]()  # of what is defined with more than its first line
    for code in codes:
        cell = _cell(code)
        if cell.tree and any(_is_stub(node, names) for node in cell.tree.body):
            body = [node for node in cell.tree.body if not _is_stub(node, names)]
            cell = _cell(ast.unparse(ast.Module(body, [])))  # the rest shows what was there
        if cell.code.strip():
            cells.append(cell)
        names |= {n.name for n in cell.tree.body if _is_definition(n)} if cell.tree else set()
    return cells


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


def compiles(code: str) -> bool:
    """Whether code is a program; unlike `parse`, not if it returns outside of functions."""
    tree = parse(code)
    return tree is not None and not _returns(tree)


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


def choose_function(
    cells: Sequence[Cell], text: str, arguments: int | None, others: Collection[str] = ()
) -> str | None:
    """The function that a task without a named entry point means: among those that take as many
    arguments the only one that `text` names, else the last one that no other function uses.

    Args:
        arguments: None if nothing is to be learnt from them.
        others: names of functions that cannot be meant.

    Returns:
        None without any function.
    """
    functions: dict[str, Function | ast.Lambda] = {}
    for cell in cells:
        for name, function in _functions(cell.tree):
            functions.pop(name, None)  # a later definition also takes the later place
            if name not in others:
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
        begun = _end_with_pass(code)  # nothing but the first line of a function defines nothing
        names = [n.name for n in begun.body if _is_definition(n)] if begun else None
        return Cell(code, tuple(_DEFINITION.findall(code) if names is None else names))
    classes = [node.name for node in statements(tree.body) if isinstance(node, ast.ClassDef)]
    return Cell(code, (*classes, *(name for name, _ in _functions(tree))), tree)


def _end_with_pass(code: str) -> ast.Module | None:
    """The tree of code that stops behind the first line of a function or class, with a body."""
    lines = [line for line in code.split("\n") if line.strip() and line.lstrip()[0] != "#"]
    if not lines or not lines[-1].rstrip().partition("  #")[0].endswith(":"):
        return None
    indent = lines[-1][: len(lines[-1]) - len(lines[-1].lstrip())]
    return parse("\n".join((*lines, f"{indent}    pass")))


def _is_definition(node: ast.stmt) -> TypeGuard[Definition]:
    """Whether a function or class has more than its first line, documentation, `...` and such."""
    return isinstance(node, Definition) and any(
        _is_definition(part) if isinstance(part, Definition) else not _says_nothing(part)
        for part in node.body
    )


def _is_stub(node: ast.stmt, names: Collection[str]) -> bool:
    """Whether a function or class, one of `names`, has no body."""
    return isinstance(node, Definition) and node.name in names and not _is_definition(node)


def _says_nothing(node: ast.stmt) -> bool:
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Raise(exc=ast.Name(id=name) | ast.Call(func=ast.Name(id=name))):
            return name == "NotImplementedError"
    return False


def _without_prompts(code: str) -> str:
    """The input of an interactive session; other code as it is."""
    if not code.lstrip().startswith(">>>"):
        return code
    return "".join(f"{line}\n" for line in _INPUT.findall(code))


def _programs_in_prose(text: str) -> list[str]:
    """The parts of a text without fences that are Python and define something, each as long as
    possible; none if the text as it is is a program, or the body of a function."""
    tree = parse(textwrap.dedent(text))
    if tree and not _ends_in_a_word(tree):
        return []
    lines, parts, rest = text.split("\n"), list[str](), list[str]()
    number = 0
    while number < len(lines):
        code = _longest_program(lines[number : number + _MOST_LINES])
        if any(map(_CODE.match, code)):
            parts.append("\n".join(code) + "\n")
            number += len(code)
        else:
            rest.append(lines[number])
            number += 1
    if not parts and _SESSION.search(textwrap.dedent(text)):
        session = "".join(f"{line}\n" for line in _INPUT.findall(text))
        return [session] if _CODE.search(session) and parse(session) else []
    return [] if _is_body(rest, text) else parts


def _longest_program(lines: Sequence[str]) -> list[str]:
    """The first lines, as far as they are a program, without their indentation."""
    start = _START.match(lines[0])
    if not start:
        return []
    code = list[str]()
    for line in lines:
        if line.strip() and not line.startswith(start[1]):
            break
        code.append(line[len(start[1]) :])
    while code:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse("\n".join(code))
        except SyntaxError as error:
            end = min(error.lineno or 1, len(code)) - 1
        except (ValueError, RecursionError, MemoryError):
            return []
        else:
            if not (_ends_in_a_word(tree) or isinstance(tree.body[-1], ast.Return)):
                break
            end = tree.body[-1].lineno - 1
        while end and (not code[end].strip() or code[end][0].isspace()):
            end -= 1  # a function or class is left out as one
        code = code[:end]
    return code


def _ends_in_a_word(tree: ast.Module) -> bool:
    """Whether the last statement is a name: prose such as `Done`."""
    last = tree.body[-1] if tree.body else None
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Name)


def _is_body(rest: Sequence[str], text: str) -> bool:
    """Whether some line of `rest` returns from a function that does not begin in the text."""
    definition = _CODE.search(text)
    width = len(definition[0]) - len(definition[0].lstrip()) if definition else 0
    return any(len(m[1]) <= width for line in rest if (m := _RETURN.match(line))) or any(
        _RETURN.match(line) for line in text[: definition.start() if definition else 0].split("\n")
    )


def _returns(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Return) for node in statements(tree.body))


def _is_indented(code: str) -> bool:
    return code.lstrip("\n")[:1].isspace()
