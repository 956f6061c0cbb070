"""What a person should look at among the rollouts of one solution, kept on the way.

Answers of which two verifiers say the opposite, and one rollout as an example. Decides nothing.
"""

from __future__ import annotations

from typing import Any

from genprm.config.label import LabelConfig
from genprm.labeling.rollouts import Outcome, RolloutCounts
from genprm.util.seeds import derive_seed


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
            told = zip(counts.answers, counts.outcomes, counts.second, strict=True)
            for answer, correct, second in told:
                self.compare(prefix, answer, correct, second)
        for i in range(counts.rollouts):
            self._seen += 1
            drawn = derive_seed(self._seed, "audit", self._id, self._seen)
            if drawn > self._drawn:  # the largest of all: every rollout is as likely
                self._drawn, self._example = drawn, _example(prefix, counts, i)

    def compare(self, prefix: int, answer: str | None, correct: Outcome, second: Outcome) -> None:
        """Two verifiers' opinions of one answer."""
        if correct is None or second is None:
            return
        self._checked += 1
        if correct is not second:
            self._doubts.append({"prefix": prefix, "answer": answer, "correct": correct})

    def columns(self) -> dict[str, Any]:
        """`rollout_to_read` (null without any) and, with a second verifier, `verifier_checked`
        (answers that both verifiers judged) and `verifier_disagreements` (`prefix`, `answer`, and
        whether the deciding one calls it `correct`)."""
        columns: dict[str, Any] = {"rollout_to_read": self._example}
        if self._config.second_verifier:
            columns["verifier_checked"] = self._checked
            columns["verifier_disagreements"] = self._doubts
        return columns


def _example(prefix: int, counts: RolloutCounts, i: int) -> dict[str, Any]:
    return {
        "prefix": prefix,
        "continuation": list(counts.continuations[i]),
        "end": counts.ends[i],
        "answer": counts.answers[i],
        "correct": counts.outcomes[i],
        "second": counts.second[i] if counts.second else None,
    }
