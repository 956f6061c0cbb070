"""What a person should look at among the rollouts of one solution, kept on the way.

Answers of which two verifiers say the opposite, and one rollout as an example. Decides nothing.
"""

from __future__ import annotations

from typing import Any

from genprm.config import LabelConfig
from genprm.labeling.rollouts import RolloutCounts
from genprm.seeds import derive_seed


class Watch:
    """Told of every batch of rollouts; gives columns of the labelled row."""

    def __init__(self, config: LabelConfig, seed: int, solution_id: str):
        self._config, self._seed, self._id = config, seed, solution_id
        self._checked = 0
        self._doubts: list[dict[str, Any]] = []
        self._seen, self._drawn = 0, -1
        self._example: dict[str, Any] | None = None

    def note(self, prefix: int, counts: RolloutCounts) -> None:
        """Rollouts that came in, from this prefix."""
        if counts.second:
            told = zip(counts.outcomes, counts.second, counts.answers, strict=True)
            for correct, second, answer in told:
                if correct is None or second is None:
                    continue
                self._checked += 1
                if correct is not second:
                    self._doubts.append({"prefix": prefix, "answer": answer, "correct": correct})
        for i in range(counts.rollouts if self._config.audit else 0):
            self._seen += 1
            drawn = derive_seed(self._seed, "audit", self._id, self._seen)
            if drawn > self._drawn:  # the largest of all: every rollout is as likely
                self._drawn, self._example = drawn, _example(prefix, counts, i)

    def columns(self) -> dict[str, Any]:
        """`verifier_checked` (answers that both verifiers judged) and `verifier_disagreements`
        (`prefix`, `answer` and what the deciding one said of it) with a second verifier; `audit`
        (a rollout, null without any) for an audit."""
        columns: dict[str, Any] = {}
        if self._config.second_verifier:
            columns["verifier_checked"] = self._checked
            columns["verifier_disagreements"] = self._doubts
        if self._config.audit:
            columns["audit"] = self._example
        return columns


def _example(prefix: int, counts: RolloutCounts, i: int) -> dict[str, Any]:
    return {
        "prefix": prefix,
        "continuation": list(counts.continuations[i]),
        "answer": counts.answers[i],
        "correct": counts.outcomes[i],
        "second": counts.second[i] if counts.second else None,
    }
