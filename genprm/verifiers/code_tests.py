"""The form of unit tests: statements, HumanEval's `check(candidate)`, pytest's functions and
classes, unittest's classes. Read from their syntax; nothing is run."""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Literal

from genprm.errors import InputError
from genprm.records import Problem
from genprm.verifiers.code_text import Definition, Function, names_in, parse, statements

RUNNERS = ("unittest.main", "pytest.main")
_OF_PYTEST = ("setup_module", "teardown_module", "setup_function", "teardown_function")


@dataclass(frozen=True, slots=True)
class CodeTests:
    """What tests do, and who runs them."""

    pieces: tuple[str, ...]  # run one after another
    statements: bool  # whether a statement outside of functions and classes may fail
    checks: tuple[tuple[str, bool], ...]  # functions to call, and whether with the candidate
    arguments: int | None  # how many the candidate gets, where that is known
    helpers: tuple[str, ...]  # functions named like tests that are none
    runner: Literal["unittest", "pytest"] | None  # None: there is nothing to collect
    pytest: bool  # whether they need pytest
    modules: tuple[str, ...]  # those that they import from, and that may be the solution


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
    body = list[ast.stmt]()
    for number, tree in enumerate(trees):
        if tree is None:
            return "are not Python"
        remover = _RunnerRemover()
        remover.visit(tree)
        if remover.removed:
            pieces[number] = ast.unparse(tree)
        body += tree.body
    if not body:
        return "are blank"
    return _form(tuple(pieces), body) or "only define names, and nothing uses these"


def _form(pieces: tuple[str, ...], body: Sequence[ast.stmt]) -> CodeTests | None:
    run = list(statements(body))
    functions = [node for node in run if isinstance(node, Function)]
    classes = {node.name: node for node in run if isinstance(node, ast.ClassDef)}
    imports = list(_imports(body))
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
        of_pytest = "pytest" in imports or any(f.name in _OF_PYTEST for f in functions)
        runner = "unittest" if simple and not others and not of_pytest else "pytest"
    return CodeTests(
        pieces=pieces,
        statements=by_statement,
        checks=tuple((f.name, bool(_parameters(f))) for f in checks),
        arguments=_arguments(checks),
        helpers=tuple(f.name for f in _named_tests(functions) if f not in collected),
        runner=runner,
        pytest="pytest" in (runner, *imports),
        modules=tuple(
            dict.fromkeys(
                part
                for name in imports
                if name.partition(".")[0] not in {*sys.stdlib_module_names, "pytest", "_pytest"}
                for part in accumulate(name.split("."), lambda a, b: f"{a}.{b}")
            )
        ),
    )


class _RunnerRemover(ast.NodeTransformer):
    """Removes the statements that start a test runner, which would end the program."""

    removed = False

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        calls = (part.func for part in ast.walk(node) if isinstance(part, ast.Call))
        if not any(ast.unparse(call) in RUNNERS for call in calls):
            return node
        self.removed = True
        return ast.Pass()


def _run_at_once(node: ast.AST) -> Iterator[ast.AST]:
    """All parts of a statement that run with it."""
    todo = [node]
    while todo:
        part = todo.pop()
        if not isinstance(part, Definition | ast.Lambda):
            yield part
            todo += ast.iter_child_nodes(part)


def _imports(body: Sequence[ast.stmt]) -> Iterator[str]:
    """The modules from which names are imported, and `pytest` if it is imported in any way."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield "pytest" if node.module.partition(".")[0] == "pytest" else node.module
            elif isinstance(node, ast.Import):
                yield from (a.name for a in node.names if a.name.partition(".")[0] == "pytest")


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
