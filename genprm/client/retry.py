"""When a call is sent again, how long to wait before, and when to give it up. Does no I/O."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from genprm.errors import EngineError

RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
NOT_YET_STATUS = RETRIED_STATUS | {404}  # a proxy that is up before the service has no route to it
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 8.0
ANSWER_S = 10.0  # from a judgement's deadline to the answer's arrival
LEAST_DEADLINE_S = 0.1  # enough for a judgement whose steps all missed the deadline


logger = logging.getLogger("genprm.client")


class TryAgainError(Exception):
    """A failure of one attempt after which the same request may be sent again."""

    def __init__(self, failure: str, retry_after: str | None = None):
        super().__init__(failure, retry_after)
        self.failure = failure
        self.retry_after = retry_after


class Attempts:
    """One call, tried until it is settled: what to do after each attempt, without doing it.

    Args:
        deadline_s: seconds for all attempts together.
        attempt_s: seconds for one attempt; shorter than the deadline, so that an attempt that
            a dead replica swallowed is given up while there is time for another.
        judging_s: seconds that the service has to judge, where the request says so. Both of the
            others are at least this long, with some time for the way.
    """

    def __init__(
        self,
        deadline_s: float,
        attempt_s: float,
        judging_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._clock = clock
        self._begin = clock()
        self._judging_s = judging_s
        self._deadline_s = max(deadline_s, 0.0 if judging_s is None else judging_s + ANSWER_S)
        self._attempt_s = attempt_s
        self._pause_s = FIRST_PAUSE_S
        self._failure: str | None = None

    def timeout(self) -> float:
        """Seconds that the next attempt may take.

        Raises:
            EngineError: the deadline has passed; names the last failure.
        """
        left = self._begin + self._deadline_s - self._clock()
        if left <= 0:
            last = self._failure or "no attempt was made"
            raise EngineError(f"no answer within {self._deadline_s:g} s; last: {last}")
        if self._judging_s is None:
            return min(left, self._attempt_s)
        judging = max(LEAST_DEADLINE_S, self._judging_s - self.spent())
        return min(left, max(self._attempt_s, judging + ANSWER_S))

    def spent(self) -> float:
        """Seconds that failed attempts took, with the pauses after them."""
        return 0.0 if self._failure is None else self._clock() - self._begin

    def pause_after(self, failure: Exception) -> float:
        """Seconds to wait before the next attempt: at random, up to a bound that doubles, at least
        what the service asked for and never past the deadline."""
        self._failure = describe_failure(failure)
        logger.info("an attempt failed: %s", self._failure)
        pause = random.uniform(0.5, 1.0) * self._pause_s  # callers must not return in step
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        retry_after = failure.retry_after if isinstance(failure, TryAgainError) else None
        if retry_after is not None and retry_after.isdigit():  # else an HTTP date, never of ours
            pause = max(pause, random.uniform(1.0, 1.5) * float(retry_after))
        return min(pause, max(0.0, self._begin + self._deadline_s - self._clock()))


def describe_failure(failure: Exception) -> str:
    """What an attempt ended in, in one line."""
    if isinstance(failure, TryAgainError):
        return failure.failure
    name = type(failure).__name__
    return f"{name}: {failure}" if str(failure) else name
