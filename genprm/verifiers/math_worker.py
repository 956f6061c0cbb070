"""Helper process of the math verifier: JSON requests on stdin, verdicts on stdout, one per line.

Every request has CPU_SECONDS of processor time. A timer raises in Python code; where C code does
not return, the kernel ends the process a moment later. Memory is limited too. The process ends when
its stdin ends.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

CPU_SECONDS = 3
MEMORY_BYTES = 4 << 30  # of address space


class _OutOfTimeError(BaseException):
    """Not an Exception, because sympy catches those."""


def _out_of_time(signum: int, frame: Any) -> None:
    raise _OutOfTimeError


def _start_clock() -> None:
    """Allow CPU_SECONDS from now; the kernel counts whole seconds from the process's start."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard_stop = int(used.ru_utime + used.ru_stime) + CPU_SECONDS + 2
    resource.setrlimit(resource.RLIMIT_CPU, (hard_stop, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)


def _decide(equal: Callable[[str, str], bool], reference: str, answer: str) -> bool | None:
    """The verdict; None if it takes too much time or memory."""
    try:
        _start_clock()
        return equal(reference, answer)
    except (_OutOfTimeError, MemoryError, RecursionError, OverflowError):
        return None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    out = sys.stdout
    sys.stdout = sys.stderr  # output of libraries must not mix with the verdicts
    signal.signal(signal.SIGPROF, _out_of_time)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        from genprm.verifiers.answers.compare import equal_texts
    except ImportError as error:
        print(json.dumps({"error": str(error)}), file=out, flush=True)
        return
    print(json.dumps({"error": None}), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        verdict = _decide(equal_texts, request["reference"], request["answer"])
        reply = {"id": request["id"], "verdict": verdict}
        print(json.dumps(reply), file=out, flush=True)


if __name__ == "__main__":
    main()
