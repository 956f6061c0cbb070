"""Code answers: runs the program of a solution with the problem's unit tests, in the sandbox.

A solution passes if it and all tests run to the end within the limits. The proof is a random word
that the harness writes after the last test, with functions that it took before the solution ran: a
program that exits early with status 0 fails, and so does one that replaces `print` or `exec`. That
protects against slips and plain tricks. It does not stop a program that searches its own
interpreter for the word, or makes objects that equal everything.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence

from genprm.records import Problem
from genprm.verifiers.sandbox import DEFAULT_LIMITS, Limits, run_python

_FENCE = re.compile(r"[ \t]*(```+|~~~+)[ \t]*([\w+-]*)")
PYTHON = ("python", "python3", "py")
# `__name__` is that of a module, so that the part of a script under `__main__` does not run.
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
    """Runs `problem.tests`: statements that raise if the solution is wrong."""

    name = "code"

    def __init__(self, limits: Limits = DEFAULT_LIMITS):
        self.limits = limits

    def extract(self, steps: Sequence[str]) -> str | None:
        """The program of a solution: its Python blocks; without them its fenced blocks without a
        language; without those the text. None if that is blank."""
        text = "\n\n".join(steps)
        blocks = list(fenced_blocks(text))
        python = [code for language, code in blocks if language.lower() in PYTHON]
        parts = python or [code for language, code in blocks if not language] or [text]
        code = "\n".join(parts)
        return code if code.strip() else None

    def check(self, answer: str, problem: Problem) -> bool | None:
        """Whether the program passes; never None: a program that exceeds a limit does not pass.

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
    """Language and content of every fenced block; an unclosed one goes to the end."""
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
