"""Mathematical answers: exact numbers at once, everything else by math-verify under a time limit.

math-verify stops itself with SIGALRM, which works in a main thread only, and an answer such as
`9^{9^{9}}` runs in C code that no signal interrupts. So it runs in one helper process per process
(`math_worker`), bounded in CPU time and memory; a comparison that exceeds them is undecided.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from genprm.errors import ConfigError, EngineError
from genprm.records import Problem
from genprm.verifiers.base import extract_final_answer

MAX_ANSWER_CHARS = 400  # longer is run-on text; no reference of MATH (train) exceeds 159
WALL_SECONDS = 60.0  # backstop for a stuck machine; the worker's own bound is CPU time

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
# "5 dollars", "1,200 pounds of rice": the number decides, unless a word is part of the number.
_UNIT = re.compile(
    r"(?P<number>[-+]?[\d,./]*\d)\s+"
    r"(?!.*\b(?:hundred|thousand|million|billion|trillion|dozen|percent|times|plus|minus|and|or)\b)"
    r"[A-Za-z]{3,}(?:\s+[A-Za-z]+)*",
    re.IGNORECASE,
)


class MathVerifier:
    """Numbers compare exactly, other answers by `math_verify`.

    The reference may itself be a worked solution that states its answer (GSM8K's `#### 18`).
    """

    name = "math"

    def extract(self, steps: Sequence[str]) -> str | None:
        return extract_final_answer(steps)

    def check(self, answer: str, problem: Problem) -> bool | None:
        """None for an answer over MAX_ANSWER_CHARS, or one that exceeds its time or memory.

        Raises:
            ConfigError: the answer needs math-verify, which is not installed.
            EngineError: the helper process cannot be started.
        """
        gold = problem.answer or ""
        gold, answer = _plain(extract_final_answer(gold) or gold), _plain(answer)
        if gold == answer:
            return True
        if len(answer) > MAX_ANSWER_CHARS:
            return None
        numbers = exact_number(gold), exact_number(answer)
        if None not in numbers:
            return numbers[0] == numbers[1]
        return _worker(os.getpid()).equal(gold, answer)


def _plain(answer: str) -> str:
    """One pair of math delimiters, the unit of a number and a typographic minus removed."""
    answer = answer.strip().replace("\u2212", "-")
    for left, right in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        inner = answer[len(left) : -len(right)]
        if answer.startswith(left) and answer.endswith(right) and inner and left not in inner:
            answer = inner.strip()
            break
    unit = _UNIT.fullmatch(answer.removeprefix("$"))
    return unit["number"] if unit else answer


def exact_number(answer: str) -> Decimal | None:
    """The value of an integer or decimal, with thousands separators or a dollar sign or not."""
    digits = answer.replace("\\$", "$").strip().rstrip(".")
    sign = "-" if digits.startswith("-") else ""
    digits = sign + digits.removeprefix("-").removeprefix("$").lstrip()
    if not any(c.isdigit() for c in digits) or not _NUMBER.fullmatch(digits):
        return None
    return Decimal(digits.replace(",", ""))


class _Worker:
    """The helper process: started on first use, replaced when it dies or must be killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        atexit.register(self._stop)

    def equal(self, gold: str, answer: str) -> bool | None:
        with self._lock:
            process = self._process or self._start()
            self._asked += 1
            request = {"id": self._asked, "gold": gold, "answer": answer}
            reply = _ask(process, json.dumps(request).encode() + b"\n")
            if reply is None or reply["id"] != self._asked:
                self._stop()  # it died of its limits or hangs; the next question starts anew
                return None
            return reply["equal"]

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: the script's folder must not be on the path, its `math` would hide the real one
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "genprm.verifiers.math_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the LaTeX parser reports every bad answer there
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
            start_new_session=True,  # Ctrl-C is for the parent
        )
        if (ready := _ask(self._process, b"")) is None or ready["error"]:
            self._stop()
            if ready is None:
                raise EngineError("math verifier: the helper process did not start")
            raise ConfigError(f"math verifier: {ready['error']} (pip install 'genprm[verify]')")
        return self._process

    def _stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def _ask(process: subprocess.Popen[bytes], line: bytes) -> dict | None:
    """Send a line, read the answering one; None if the process died or took WALL_SECONDS."""
    assert process.stdin and process.stdout
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except BrokenPipeError:
        return None
    if not select.select([process.stdout], [], [], WALL_SECONDS)[0]:
        return None
    reply = process.stdout.readline()
    return json.loads(reply) if reply.endswith(b"\n") else None


@cache
def _worker(pid: int) -> _Worker:
    """One worker per process: a fork must not share its parent's pipes."""
    return _Worker()
