"""Mathematical answers: read into forms (`answers`), and compared part by part.

Plain numbers and fractions are compared here, exactly; all else in a helper process
(`math_worker`), where latex2sympy2_extended reads formulas: an answer such as `9^{9^{9}}` runs in C
code that no signal interrupts. Each process has one helper, limited in CPU time and memory; a
comparison that exceeds a limit is undecided. The table of what is equal is `equalities.yaml`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from genprm.errors import ConfigError, EngineError
from genprm.records import Problem
from genprm.verifiers.answers.formula import exact_value
from genprm.verifiers.answers.text import clean, plain
from genprm.verifiers.extraction import extract_final_answer

MAX_ANSWER_CHARS = 400  # longer is run-on text; no reference of MATH (train) exceeds 159
WALL_SECONDS = 60.0  # for a stuck machine; the worker itself limits CPU time
_INSTALL = "(pip install 'genprm[verify]')"


class MathVerifier:
    """Compares numbers, formulas, sets, intervals, relations, quantities and words.

    The reference may itself be a worked solution that states its answer (GSM8K's `#### 18`).
    """

    name = "math"

    def extract(self, steps: Sequence[str]) -> str | None:
        return extract_final_answer(steps)

    def check(self, answer: str, problem: Problem) -> bool | None:
        """Whether the answer equals the reference; None for an answer that is longer than
        MAX_ANSWER_CHARS or exceeds the limits of time or memory.

        Raises:
            ConfigError: the answer needs latex2sympy2_extended, which is not installed.
            EngineError: the helper process cannot be started.
        """
        gold = problem.answer or ""
        gold = extract_final_answer(gold) or gold
        if len(answer) > MAX_ANSWER_CHARS:
            return True if answer.strip() == gold.strip() else None
        texts = clean(gold), clean(answer)
        if plain(texts[0]) == plain(texts[1]):
            return bool(plain(texts[0]))
        values = exact_value(texts[0]), exact_value(texts[1])
        if None not in values:
            return values[0] == values[1]
        return _worker(os.getpid()).compare(gold, answer)


class _Worker:
    """The helper process: started on first use, replaced when it dies or must be killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = 0
        atexit.register(self._stop)

    def compare(self, reference: str, answer: str) -> bool | None:
        with self._lock:
            process = self._process or self._start()
            self._requests += 1
            request = {"id": self._requests, "reference": reference, "answer": answer}
            reply = _exchange(process, json.dumps(request).encode() + b"\n")
            if reply is None or reply["id"] != self._requests:
                self._stop()  # it died of its limits or hangs; the next request starts a new one
                return None
            verdict: bool | None = reply["verdict"]
            return verdict

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: the script's folder must not be on the path, its `math` would hide the real one
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "genprm.verifiers.math_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the LaTeX parser writes about every bad answer there
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
            start_new_session=True,  # Ctrl-C is for the parent
        )
        if (ready := _exchange(self._process, b"")) is None or ready["error"]:
            self._stop()
            if ready is None:
                raise EngineError("math verifier: the helper process did not start")
            raise ConfigError(f"math verifier: {ready['error']} {_INSTALL}")
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


def _exchange(process: subprocess.Popen[bytes], line: bytes) -> dict[str, Any] | None:
    """Send a line and read the reply; None if the process died or took WALL_SECONDS."""
    assert process.stdin and process.stdout
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except BrokenPipeError:
        return None
    if not select.select([process.stdout], [], [], WALL_SECONDS)[0]:
        return None
    reply = process.stdout.readline()
    if not reply.endswith(b"\n"):
        return None
    parsed: dict[str, Any] = json.loads(reply)
    return parsed


@cache
def _worker(pid: int) -> _Worker:
    """One worker per process, because a fork must not share its parent's pipes."""
    return _Worker()
