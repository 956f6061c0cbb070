"""Helper process of the math verifier: JSON requests on stdin, verdicts on stdout, one per line.

Every request has CPU_SECONDS of processor time. A timer raises in Python code; where C code does
not return, the kernel ends the process a moment later. Memory is limited too. The process ends when
its stdin ends.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

CPU_SECONDS = 3
MEMORY_BYTES = 4 << 30  # of address space


class _OutOfTimeError(BaseException):
    """Not an Exception, because sympy and math-verify catch those."""


def _out_of_time(signum: int, frame: Any) -> None:
    raise _OutOfTimeError


def _start_clock() -> None:
    """Allow CPU_SECONDS from now; the kernel counts whole seconds from the process's start."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard_stop = int(used.ru_utime + used.ru_stime) + CPU_SECONDS + 2
    resource.setrlimit(resource.RLIMIT_CPU, (hard_stop, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)


def _comparer() -> Callable[[str, str], bool]:
    """Import math-verify. Its own timeouts are off, because they set SIGALRM for wall time."""
    import math_verify

    @lru_cache(maxsize=1024)
    def parse(answer: str) -> list[Any]:
        marked = answer if "$" in answer or "\\boxed" in answer else f"${answer}$"
        parsed: list[Any] = math_verify.parse(marked, parsing_timeout=None)
        return parsed

    def equal(gold: str, answer: str) -> bool:
        return bool(math_verify.verify(parse(gold), parse(answer), timeout_seconds=None))

    return equal


def _answer(equal: Callable[[str, str], bool], gold: str, answer: str) -> bool | None:
    try:
        _start_clock()
        return equal(gold, answer)
    except (_OutOfTimeError, MemoryError, RecursionError):
        return None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    out = sys.stdout
    sys.stdout = sys.stderr  # output of libraries must not mix with the verdicts
    logging.disable(logging.WARNING)  # math-verify warns once that its timeouts are off
    signal.signal(signal.SIGPROF, _out_of_time)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        equal = _comparer()
    except ImportError as error:
        print(json.dumps({"error": str(error)}), file=out, flush=True)
        return
    print(json.dumps({"error": None}), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        verdict = _answer(equal, request["gold"], request["answer"])
        print(json.dumps({"id": request["id"], "equal": verdict}), file=out, flush=True)


if __name__ == "__main__":
    main()
