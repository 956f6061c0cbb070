"""Counters of judgements, for Prometheus through Ray's metrics endpoint.

Ray Serve itself counts requests, their status and their latency; here is what only a scorer knows.
Works in any process; without Ray nobody collects the counts.
"""

from __future__ import annotations

from typing import NamedTuple

from ray.serve.metrics import Counter, Histogram

from genprm.records import Judgement, StepJudgement

SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160]  # upper bounds


class Counts(NamedTuple):
    """What one judgement adds to the counters."""

    critiques: dict[str, int]  # by verdict: those that voted
    saved: int  # votes that early stopping saved
    tokens: dict[str, int]  # by kind; cached tokens are among those of the prompts


def counts(judgement: Judgement, votes: int, early: bool, per_solution: bool) -> Counts:
    """The counts of a judgement.

    Args:
        votes: the votes of each step, of which `early` stopping may have saved some.
        per_solution: critiques are of whole solutions; one that ends before a step saves nothing.
    """
    voted = [step.votes for step in judgement.steps if step.status in ("ok", "no_valid_critique")]
    critiques = {
        "correct": sum(each.correct for each in voted),
        "incorrect": sum(each.incorrect for each in voted),
        "invalid": sum(each.invalid for each in voted),
    }
    kinds = ("prompt", "cached", "completion")
    tokens = {kind: judgement.usage.get(f"{kind}_tokens", 0) for kind in kinds}
    written = judgement.usage["critiques"] * len(voted) if per_solution else sum(critiques.values())
    saved = votes * len(voted) - written if early else 0
    return Counts(critiques, saved, tokens)


class ScoringMetrics:
    """The counters of one critic; inside a service Ray tags them with deployment and replica."""

    def __init__(self) -> None:
        self._judgements = Counter("genprm_judgements", "Solutions judged")
        self._steps = Counter("genprm_steps", "Steps judged", ("status",))
        self._critiques = Counter("genprm_critiques", "Critiques that voted", ("verdict",))
        self._saved = Counter("genprm_votes_saved", "Votes that early stopping did without")
        self._tokens = Counter("genprm_tokens", "Tokens read and written", ("kind",))
        self._seconds = Histogram("genprm_judgement_seconds", "Time to judge a solution", SECONDS)
        self._step_seconds = Histogram(
            "genprm_step_seconds", "Time from a solution's arrival to the vote on a step", SECONDS
        )

    def step(self, step: StepJudgement, seconds: float) -> None:
        """Count a step that was settled `seconds` after its solution arrived."""
        self._steps.inc(tags={"status": step.status})
        self._step_seconds.observe(seconds)

    def judgement(self, judgement: Judgement, new: Counts, seconds: float) -> None:
        """Count a solution that was judged in `seconds`."""
        self._judgements.inc()
        self._seconds.observe(seconds)
        for verdict, number in new.critiques.items():
            _add(self._critiques, number, {"verdict": verdict})
        for kind, number in new.tokens.items():
            _add(self._tokens, number, {"kind": kind})
        _add(self._saved, new.saved)


def _add(counter: Counter, amount: int, tags: dict[str, str] | None = None) -> None:
    if amount > 0:  # Ray refuses to count nothing
        counter.inc(amount, tags)
