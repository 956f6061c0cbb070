"""Code answers: the program of a solution against the problem's unit tests, in the sandbox.

A solution passes if it and all tests run to the end within the limits. What counts is a word that
the harness prints after the last test, drawn anew each time: leaving early with status 0 fails.
That holds against slips and plain tricks; a program that searches its own interpreter for the word
is not stopped by it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from genprm.records import Problem
from genprm.verifiers.sandbox import Limits, run_python

_FENCE = re.compile(r"^```[ \t]*(?:python|py)?[ \t]*\n(?P<code>.*?)^```[ \t]*$", re.M | re.S | re.I)


class CodeVerifier:
    """Runs `problem.tests`, statements that raise where the solution is wrong."""

    name = "code"

    def __init__(self, limits: Limits = Limits()):  # noqa: B008 - frozen
        self.limits = limits

    def extract(self, steps: Sequence[str]) -> str | None:
        """The program of a solution: its fenced blocks if it has any, else all of it."""
        text = "\n\n".join(steps)
        blocks = [match["code"] for match in _FENCE.finditer(text)]
        code = "\n".join(blocks) if blocks else text
        return code if code.strip() else None

    def check(self, answer: str, problem: Problem) -> bool | None:
        """Never undecided: a program that takes too long, or too much, does not pass.

        Raises:
            ConfigError: there is no sandbox.
        """
        word = secrets.token_hex(8)
        tests = "\n".join(problem.tests or ())
        # the last line stands outside of what the solution can indent, comment out or leave open
        program = (
            f"exec(compile({answer!r}, 'solution', 'exec'))\n"
            f"exec(compile({tests!r}, 'tests', 'exec'))\nprint({word!r}, flush=True)\n"
        )
        run = run_python(program, self.limits)
        return run.returncode == 0 and run.output.rstrip("\n").endswith(word)
