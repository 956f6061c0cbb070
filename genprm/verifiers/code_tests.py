"""The form of unit tests: statements, HumanEval's `check(candidate)`, pytest's functions and
classes, unittest's classes. Read from their syntax; nothing is run."""

from __future__ import annotations

import ast
import builtins
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata
from importlib.util import find_spec
from itertools import accumulate
from typing import Literal, NamedTuple

from genprm.errors import InputError
from genprm.records import Problem
from genprm.verifiers.code_text import Definition, Function, names_in, parse, statements

# Calls that start a test runner, and what stands for their result: the tests run later.
RUNNERS = {
    "unittest.main": "type('Program', (), {'result': __import__('unittest').TestResult()})()",
    "pytest.main": "0",
}
EXITS = ("sys.exit", "exit", "quit", "SystemExit", "os._exit")
LEAVE = "__leave__"  # what the worker has for them
SOLUTION = "solution"  # a module of this name is always the program
_OF_PYTEST = ("setup_module", "teardown_module", "setup_function", "teardown_function")


@dataclass(frozen=True, slots=True)
class CodeTests:
    """What tests do, and who runs them."""

    pieces: tuple[str, ...]  # run one after another
    statements: bool  # whether a statement outside of functions and classes may fail
    checks: tuple[tuple[str, bool], ...]  # functions to call, and whether with the candidate
    arguments: int | None  # how many the candidate gets; None: that is not to be seen
    helpers: tuple[str, ...]  # functions named like tests that are none
    runner: Literal["unittest", "pytest"] | None  # None: there is nothing to collect
    pytest: bool  # whether they need pytest
    modules: tuple[str, ...]  # those that they import, and that stand for the program
    imports: tuple[tuple[str, bool], ...]  # the other modules, and whether tests need them
    packages: tuple[str, ...]  # installed distributions to which these modules belong
    names: tuple[str, ...]  # what they read and do not bind: it is of the program, or built in
    own: tuple[str, ...]  # their functions and classes


def read_tests(problem: Problem) -> CodeTests:
    """The tests of a problem.

    Raises:
        InputError: they are blank or no Python, or nothing in them would ever run.
    """
    tests = _read(tuple(problem.tests or ()))
    if isinstance(tests, str):
        raise InputError(f"problem {problem.id!r}: its tests {tests}")
    return tests


@lru_cache(maxsize=4096)  # asked for with every answer to a problem
def _read(tests: tuple[str, ...]) -> CodeTests | str:
    """The tests, or what is wrong with them."""
    pieces = [textwrap.dedent(piece) for piece in tests]
    trees = [parse(piece) for piece in pieces]
    if None in trees:  # a statement may go on in the next piece
        pieces = ["\n".join(tests)]
        trees = [parse(pieces[0])]
    modules = [tree for tree in trees if tree is not None]
    if len(modules) < len(trees):
        return "are not Python"
    body = list[ast.stmt]()
    aliases = _aliases(modules)
    for number, tree in enumerate(modules):
        replacer = _CallReplacer(aliases)
        replacer.visit(tree)
        if replacer.replaced:
            pieces[number] = ast.unparse(ast.fix_missing_locations(tree))
        body += tree.body
    if not body:
        return "are blank"
    return _form(tuple(pieces), body) or "only define names, and nothing uses these"


def _form(pieces: tuple[str, ...], body: Sequence[ast.stmt]) -> CodeTests | None:
    run = list(statements(body))
    functions = [node for node in run if isinstance(node, Function)]
    classes = {node.name: node for node in run if isinstance(node, ast.ClassDef)}
    imports = list(_imports(body))
    of_pytest = any(_top(i.module) == "pytest" for i in imports)
    names = _free_names(body)
    checks = [f for f in functions if _is_check(f) and not _is_used(f, body)]
    collected = [
        f
        for f in _named_tests(functions)
        if f not in checks
        and not (_parameters(f) and not f.decorator_list and _is_used(f, body))  # a helper
    ]
    cases = [name for name in classes if _is_case(name, classes)]
    others = [
        node
        for name, node in classes.items()
        if name not in cases and name.startswith("Test") and _has_tests(node)
    ]
    simple = all(
        isinstance(f, ast.FunctionDef) and not (f.decorator_list or _parameters(f))
        for f in collected
    )
    by_statement = any(
        isinstance(part, ast.Call | ast.Assert | ast.Raise)
        for node in body
        for part in _run_at_once(node)
    )
    if not (checks or collected or cases or others or by_statement):
        return None
    runner: Literal["unittest", "pytest"] | None = None
    if collected or cases or others:
        simple = simple and not (of_pytest or any(f.name in _OF_PYTEST for f in functions))
        runner = "unittest" if simple and not others else "pytest"
    takes_candidate = any(map(_parameters, checks))
    stand_ins = _stand_ins(imports, takes_candidate or not names <= _BUILTINS)
    libraries = [i for i in imports if _top(i.module) not in stand_ins]
    return CodeTests(
        pieces=pieces,
        statements=by_statement,
        checks=tuple((f.name, bool(_parameters(f))) for f in checks),
        arguments=_arguments(checks),
        helpers=tuple(f.name for f in _named_tests(functions) if f not in collected),
        runner=runner,
        pytest=of_pytest or runner == "pytest",
        modules=tuple(
            dict.fromkeys(
                part
                for i in imports
                if _top(i.module) in stand_ins
                for part in accumulate(i.module.split("."), lambda a, b: f"{a}.{b}")
            )
        ),
        imports=tuple((i.module, i.needed) for i in libraries),
        packages=tuple(dict.fromkeys(p for i in libraries for p in _packages(_top(i.module)))),
        names=tuple(sorted(names)),
        own=tuple(node.name for node in run if isinstance(node, Definition)),
    )


_BUILTINS = frozenset(dir(builtins))
_STANDARD = frozenset((*sys.stdlib_module_names, "pytest", "_pytest"))


class _CallReplacer(ast.NodeTransformer):
    """Replaces what starts a test runner or ends the program."""

    def __init__(self, aliases: dict[str, str]):
        self.aliases = aliases
        self.replaced = False

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        calls = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
        if any(self._full_name(call.func) in RUNNERS for call in calls):
            self.replaced = True
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = self._full_name(node.func)
        if name in RUNNERS:
            self.replaced = True
            return ast.parse(RUNNERS[name], mode="eval").body
        if name in EXITS:
            self.replaced = True
            node.func = ast.Name(LEAVE, ast.Load())
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if not node.level:
            return node
        self.replaced = True  # tests are in no package
        return ast.ImportFrom(node.module, node.names, 0) if node.module else ast.Import(node.names)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if node.exc and self._full_name(node.exc) == "SystemExit":
            node.exc = ast.Call(node.exc, [], [])
        return self.generic_visit(node)

    def _full_name(self, node: ast.expr) -> str:
        first, dot, rest = ast.unparse(node).partition(".")
        return self.aliases.get(first, first) + dot + rest


def _aliases(trees: Sequence[ast.Module]) -> dict[str, str]:
    """What imported names stand for: `{"ut": "unittest", "run": "pytest.main"}`."""
    aliases = dict[str, str]()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            aliases |= {a.asname: a.name for a in node.names if a.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {(a.asname or a.name): a.name for a in node.names}
            if "*" in names:
                names = {"main": "main"}
            aliases |= {name: f"{node.module}.{of}" for name, of in names.items()}
    return aliases


def _run_at_once(node: ast.AST) -> Iterator[ast.AST]:
    """All parts of a statement that run with it."""
    todo = [node]
    while todo:
        part = todo.pop()
        if not isinstance(part, Definition | ast.Lambda):
            yield part
            todo += ast.iter_child_nodes(part)


class _Import(NamedTuple):
    module: str
    needed: bool  # not in `try` or `if`, so that tests go wrong without it
    all_names: bool  # from module import *


def _imports(nodes: Sequence[ast.AST], needed: bool = True) -> Iterator[_Import]:
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            yield _Import(node.module or "", needed, node.names[0].name == "*")
        elif isinstance(node, ast.Import):
            yield from (_Import(alias.name, needed, False) for alias in node.names)
        else:
            inner = needed and not isinstance(node, ast.Try | ast.If)
            yield from _imports([*ast.iter_child_nodes(node)], inner)


def _top(module: str) -> str:
    return module.partition(".")[0]


def _stand_ins(imports: Sequence[_Import], is_reached: bool) -> set[str]:
    """The modules, by their first names, that are the program: those called `solution`, or those of
    `import *`; without them all, if tests do not reach the program by a candidate or a name.
    Modules of the standard library and of installed packages are what they are."""
    named = {_top(i.module) for i in imports if SOLUTION in i.module.split(".")}
    unknown = {_top(i.module): i.all_names for i in imports if not _is_library(_top(i.module))}
    named |= {top for top, all_names in unknown.items() if all_names}
    return named if named or is_reached else {*unknown}


def _is_library(top: str) -> bool:
    return top in _STANDARD or bool(_packages(top))


def _packages(top: str) -> list[str]:
    """The installed distributions that have a module, other than pytest."""
    return [] if top in _STANDARD or not find_spec(top) else _distributions().get(top, [])


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def _free_names(body: Sequence[ast.stmt]) -> set[str]:
    """The names that are read in tests and bound nowhere in them."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    bound = {LEAVE}
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound.add(name)
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add(other or _top(name))
    names = {name for statement in body for name in names_in(statement)}
    return {n for n in names - bound if not (n.startswith("__") and n.endswith("__"))}


def _parameters(function: Function) -> list[str]:
    """The parameters that a call must fill."""
    positional = [*function.args.posonlyargs, *function.args.args]
    return [p.arg for p in positional[: len(positional) - len(function.args.defaults)]]


def _named_tests(functions: Sequence[Function]) -> list[Function]:
    return [function for function in functions if function.name.startswith("test")]


def _is_check(function: Function) -> bool:
    parameters = _parameters(function)
    return parameters == ["candidate"] or (function.name == "check" and len(parameters) <= 1)


def _is_used(function: Function, body: Sequence[ast.stmt]) -> bool:
    return any(function.name in names_in(node) for node in body if node is not function)


def _is_case(name: str, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether a class is a `TestCase`, by the names of its bases."""
    if name not in classes:
        return name.endswith("TestCase")
    others = {other: node for other, node in classes.items() if other != name}
    return any(_is_case(ast.unparse(base), others) for base in classes[name].bases)


def _has_tests(node: ast.ClassDef) -> bool:
    return any(isinstance(part, Function) and part.name.startswith("test") for part in node.body)


def _arguments(checks: Sequence[Function]) -> int | None:
    for check in checks:
        for call in ast.walk(check):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in _parameters(check):
                if any(isinstance(argument, ast.Starred) for argument in call.args):
                    return None
                return len(call.args) + len(call.keywords)
    return None
