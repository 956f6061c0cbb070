"""Code answers: the program of a solution against the problem's unit tests, in the sandbox.

A solution passes if it and all tests run to the end within the limits. What counts is a word, drawn
anew each time, that the harness writes after the last test with functions it took hold of before
the solution ran: leaving early with status 0 fails, and so does replacing `print` or `exec`. That
holds against slips and plain tricks. A program that searches its own interpreter for the word, or
makes objects that equal everything, is not stopped by it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence

from genprm.records import Problem
from genprm.verifiers.sandbox import DEFAULT_LIMITS, Limits, run_python

_FENCE = re.compile(r"[ \t]*(```+|~~~+)[ \t]*([\w+-]*)")
PYTHON = ("python", "python3", "py")
# `__name__` is a module's, so that what a script asks of its user is not run.
_HARNESS = """
def harness(run, build, write, modules, new_module, word, solution, tests):
    module = new_module("solution")
    modules["solution"] = module
    space = module.__dict__
    run(build(solution, "solution", "exec"), space)
    run(build(tests, "tests", "exec"), space)
    write(1, word)
import os, sys, types
harness(exec, compile, os.write, sys.modules, types.ModuleType, {word!r}, {solution!r}, {tests!r})
"""


class CodeVerifier:
    """Runs `problem.tests`, statements that raise where the solution is wrong."""

    name = "code"

    def __init__(self, limits: Limits = DEFAULT_LIMITS):
        self.limits = limits

    def extract(self, steps: Sequence[str]) -> str | None:
        """The program of a solution: its Python blocks, else its other fenced blocks, else all."""
        text = "\n\n".join(steps)
        blocks = list(fenced_blocks(text))
        python = [code for language, code in blocks if language.lower() in PYTHON]
        chosen = python or [code for language, code in blocks if not language] or [text]
        code = "\n".join(chosen)
        return code if code.strip() else None

    def check(self, answer: str, problem: Problem) -> bool | None:
        """Never undecided: a program that takes too long, or too much, does not pass.

        Raises:
            ConfigError: there is no sandbox.
            EngineError: the sandbox could not be set up.
        """
        word = secrets.token_hex(16)
        tests = "\n".join(problem.tests or ())
        program = _HARNESS.format(word=word.encode(), solution=answer, tests=tests)
        run = run_python(program, self.limits)
        return run.returncode == 0 and word in run.output


def fenced_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of every fenced block; one that never closes goes to the end."""
    fence, language, lines = "", "", list[str]()
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if not fence and match:
            fence, language, lines = match[1], match[2], []
        elif fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            yield language, "\n".join(lines) + "\n"
            fence = ""
        elif fence:
            lines.append(line)
    if fence:
        yield language, "\n".join(lines) + "\n"
