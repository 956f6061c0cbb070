"""Code answers: runs the program of a solution with the problem's unit tests, in the sandbox.

A solution passes if its tests run to the end within the limits; what it prints does not matter. A
block of it that raises counts as if it had defined no function and no class. Tests are statements,
`check(candidate)` as HumanEval has it, or functions and classes for pytest or unittest, and run as
their form asks (`code_tests`, `code_worker`). They see the names that the program defines, but
builtins of their own, and the modules that they import are as they were before the program ran.

The proof is a random word that the worker writes after the last test: a program that exits early
with status 0 fails. The word is in no variable, frame or module while the program or a test runs.
That protects against slips and plain tricks. It does not stop a program that searches the memory of
its interpreter, that changes the code of a function in place, that changes modules or the worker's
variables while a test runs, or that makes objects that equal everything.
"""

from __future__ import annotations

import builtins
import json
import secrets
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path

from genprm.errors import ConfigError, InputError
from genprm.records import Problem
from genprm.verifiers import code_worker
from genprm.verifiers.code_tests import LEAVE, CodeTests, read_tests
from genprm.verifiers.code_text import Cell, choose_function, compiles, find_program, read_cells
from genprm.verifiers.sandbox import DEFAULT_LIMITS, Limits, run_python

PYTEST = ("pytest",)
# Takes the place of a solution: every name can be imported, and none can be called.
_NO_SOLUTION = """
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return missing
def missing(*arguments, **options):
    raise NameError("there is no solution")
"""


class CodeVerifier:
    """Runs `problem.tests`, which raise or fail if the solution is wrong."""

    name = "code"

    def __init__(self, limits: Limits = DEFAULT_LIMITS):
        self.limits = limits

    def extract(self, steps: Sequence[str]) -> str | None:
        """The program of a solution (`code_text.find_program`); None if that is blank."""
        program = find_program("\n\n".join(steps))
        return program if program.strip() else None

    def check(self, answer: str, problem: Problem) -> bool | None:
        """Whether the program passes; never None: a program that exceeds a limit does not pass.

        The first answer to a problem costs one more run, which proves that the tests fail without
        a solution.

        Raises:
            InputError: the tests are blank, or pass without a solution.
            ConfigError: there is no sandbox, or the tests need pytest or another module, which is
                not installed.
            EngineError: the sandbox could not be set up.
        """
        tests = read_tests(problem)
        if tests.pytest and not _has_pytest():
            raise ConfigError(
                f"problem {problem.id!r}: its tests need pytest, which is not installed"
            )
        prompt = _code_in_prompt(problem, tests)
        sign, fault = _try_without_solution(tests, prompt, problem.entry_point, self.limits)
        if sign == code_worker.CANNOT_RUN:
            raise ConfigError(f"problem {problem.id!r}: its tests cannot run here: {fault}")
        if sign:
            raise InputError(f"problem {problem.id!r}: its tests pass without a solution")
        cells = [*prompt, *_completed(answer, problem, prompt)]
        candidate = problem.entry_point
        if not candidate:
            texts = "\n".join((problem.problem, *tests.pieces))
            candidate = choose_function(cells, texts, tests.arguments, tests.own)
        replaced = _replaced(tests, problem.entry_point, candidate)
        return _run(cells, tests, candidate, replaced, self.limits)[0] == code_worker.PASSED


def _replaced(tests: CodeTests, entry_point: str | None, candidate: str | None) -> tuple[str, ...]:
    """The built-in name that the program's function has for the tests: that of the function which
    the task means (`assert sum(10, 5) == 15`), where they can reach it in no other way."""
    if candidate not in tests.names or not hasattr(builtins, candidate):
        return ()
    if any(takes_candidate for _, takes_candidate in tests.checks):
        return ()
    others = tests.modules or any(not hasattr(builtins, name) for name in tests.names)
    return (candidate,) if entry_point or not others else ()


def _code_in_prompt(problem: Problem, tests: CodeTests) -> tuple[Cell, ...]:
    """HumanEval's prompts are the beginning of the program: imports, helpers, and the function
    without its body. Empty for other problems."""
    if not (problem.entry_point and tests.checks):
        return ()
    cells = tuple(read_cells(find_program(problem.problem)))
    return cells if any(problem.entry_point in cell.names for cell in cells) else ()


def _completed(answer: str, problem: Problem, prompt: Sequence[Cell]) -> list[Cell]:
    """The cells of an answer, which may be only the body that the prompt's function lacks: as it
    is, without its indentation, or without that of its first line."""
    cells = read_cells(answer)
    if not prompt or any(problem.entry_point in cell.names for cell in cells):
        return cells
    bodies = (answer, textwrap.indent(answer, "    "), "    " + answer.lstrip())
    programs = (f"{prompt[-1].code.rstrip()}\n{body}" for body in bodies)
    return next((read_cells(code) for code in programs if compiles(code)), cells)


@lru_cache(maxsize=4096)
def _try_without_solution(
    tests: CodeTests, prompt: tuple[Cell, ...], entry_point: str | None, limits: Limits
) -> tuple[str, str]:
    """The sign that tests come to, or that nothing in them runs, whatever a solution does."""
    cells = [Cell(_NO_SOLUTION, ()), *prompt]
    candidate = entry_point if prompt else "missing"
    return _run(cells, tests, candidate, _replaced(tests, entry_point, entry_point), limits)


def _run(
    cells: Sequence[Cell],
    tests: CodeTests,
    candidate: str | None,
    replaced: Sequence[str],
    limits: Limits,
) -> tuple[str, str]:
    """The sign behind the word, and what stands behind that; both empty if the program did not get
    to the end of the tests."""
    word = secrets.token_hex(16)
    request = {**asdict(tests), "candidate": candidate, "replaced": replaced, "leave": LEAVE}
    lines = (word, request, [(cell.code, cell.names) for cell in cells])
    run = run_python(
        _worker_text(),
        limits,
        (*PYTEST * tests.pytest, *tests.packages),
        "".join(json.dumps(line) + "\n" for line in lines),
    )
    _, separator, rest = run.output.partition(word)
    return (rest[:1], rest[1:]) if separator and run.returncode == 0 else ("", "")


@cache
def _worker_text() -> str:
    return Path(code_worker.__file__).read_text(encoding="utf-8")


@cache
def _has_pytest() -> bool:
    return run_python("import pytest", packages=PYTEST).returncode == 0
