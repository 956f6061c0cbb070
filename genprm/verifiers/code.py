"""Code answers: runs the program of a solution with the problem's unit tests, in the sandbox.

A solution passes if its tests run to the end within the limits; what it prints does not matter. A
block of it that raises counts as if it had defined no function and no class. Tests are statements,
`check(candidate)` as HumanEval has it, or functions and classes for pytest or unittest, and run as
their form asks (`code_tests`, `code_worker`).

The proof is a random word that the worker writes after the last test. Before the tests it brings
back builtins, modules and paths, and imports test libraries anew: a program that exits early with
status 0 fails, and so does one that replaces `exec`, `check` or `unittest`. That protects against
slips and plain tricks. It does not stop a program that searches its own interpreter for the word,
changes a test library while a test runs, or makes objects that equal everything.
"""

from __future__ import annotations

import secrets
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path

from genprm.errors import ConfigError, InputError
from genprm.records import Problem
from genprm.verifiers import code_worker
from genprm.verifiers.code_tests import CodeTests, read_tests
from genprm.verifiers.code_text import Cell, choose_function, find_program, read_cells
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
            ConfigError: there is no sandbox, or the tests need pytest, which is not installed.
            EngineError: the sandbox could not be set up.
        """
        tests = read_tests(problem)
        if tests.pytest and not _has_pytest():
            raise ConfigError(
                f"problem {problem.id!r}: its tests need pytest, which is not installed"
            )
        prompt = _code_in_prompt(problem, tests)
        if _pass_without_solution(tests, prompt, problem.entry_point, self.limits):
            raise InputError(f"problem {problem.id!r}: its tests pass without a solution")
        cells = [*prompt, *_completed(answer, problem, prompt)]
        candidate = problem.entry_point
        if not candidate:
            texts = "\n".join((problem.problem, *tests.pieces))
            candidate = choose_function(cells, texts, tests.arguments)
        return _run(cells, tests, candidate, self.limits) == code_worker.PASSED


def _code_in_prompt(problem: Problem, tests: CodeTests) -> tuple[Cell, ...]:
    """HumanEval's prompts are the beginning of the program: imports, helpers, and the function
    without its body. Empty for other problems."""
    if not (problem.entry_point and tests.checks):
        return ()
    cells = tuple(read_cells(find_program(problem.problem)))
    return cells if any(problem.entry_point in cell.names for cell in cells) else ()


def _completed(answer: str, problem: Problem, prompt: Sequence[Cell]) -> list[Cell]:
    """The cells of an answer, which may be only the body that the prompt's function lacks."""
    cells = read_cells(answer)
    if prompt and not any(problem.entry_point in cell.names for cell in cells):
        body = read_cells(f"{prompt[-1].code}\n{textwrap.indent(answer, '    ')}")
        cells = body if all(cell.tree for cell in body) else cells
    return cells


@lru_cache(maxsize=4096)
def _pass_without_solution(
    tests: CodeTests, prompt: tuple[Cell, ...], entry_point: str | None, limits: Limits
) -> bool:
    """Whether tests pass, or nothing in them runs, whatever a solution does."""
    cells = [Cell(_NO_SOLUTION, ()), *prompt]
    return bool(_run(cells, tests, entry_point if prompt else "missing", limits))


def _run(cells: Sequence[Cell], tests: CodeTests, candidate: str | None, limits: Limits) -> bytes:
    """The sign behind the word if a program got to the end of the tests; else empty."""
    word = secrets.token_hex(16)
    sources = [(cell.code, cell.names) for cell in cells]
    arguments = (word.encode(), sources, asdict(tests), candidate)
    program = f"{_worker_text()}\nmain(*{arguments!r})\n"
    run = run_python(program, limits, PYTEST if tests.pytest else ())
    _, sign, rest = run.output.partition(word)
    return rest[:1].encode() if sign and run.returncode == 0 else b""


@cache
def _worker_text() -> str:
    return Path(code_worker.__file__).read_text(encoding="utf-8")


@cache
def _has_pytest() -> bool:
    return run_python("import pytest", packages=PYTEST).returncode == 0
