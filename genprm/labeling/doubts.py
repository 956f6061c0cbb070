"""Rollouts of one solution that a person should look at, collected while they come in.

Answers on which two verifiers disagree, and one rollout as an example. Decides nothing.
"""

from __future__ import annotations

from typing import Any

from genprm.config.label import LabelConfig
from genprm.labeling.rollouts import Outcome, RolloutCounts
from genprm.records import Disagreement, RolloutToRead
from genprm.util.seeds import derive_seed


class Watch:
    """Sees every batch of rollouts of a solution, and writes columns of the labelled row."""

    def __init__(self, config: LabelConfig, seed: int, solution_id: str):
        self._config, self._seed, self._id = config, seed, solution_id
        self._checked = 0
        self._disagreements: list[Disagreement] = []
        self._seen, self._largest_draw = 0, -1
        self._example: RolloutToRead | None = None

    def note(self, prefix: int, counts: RolloutCounts) -> None:
        """Take in the rollouts of one request from a prefix."""
        if counts.second:
            opinions = zip(counts.answers, counts.outcomes, counts.second, strict=True)
            for answer, correct, second in opinions:
                self.compare(prefix, answer, correct, second)
        for i in range(counts.rollouts):
            self._seen += 1
            draw = derive_seed(self._seed, "audit", self._id, self._seen)
            if draw > self._largest_draw:  # so that every rollout is equally likely
                self._largest_draw = draw
                self._example = RolloutToRead(
                    prefix=prefix,
                    continuation=list(counts.continuations[i]),
                    end=counts.ends[i],
                    answer=counts.answers[i],
                    correct=counts.outcomes[i],
                    second=counts.second[i] if counts.second else None,
                )

    def compare(self, prefix: int, answer: str | None, correct: Outcome, second: Outcome) -> None:
        """Take in two verifiers' verdicts on one answer."""
        if correct is None or second is None:
            return
        self._checked += 1
        if correct is not second:
            self._disagreements.append(Disagreement(prefix=prefix, answer=answer, correct=correct))

    def columns(self) -> dict[str, Any]:
        """`rollout_to_read` (null without any) and, with a second verifier, `verifier_checked` and
        `verifier_disagreements`."""
        columns: dict[str, Any] = {"rollout_to_read": self._example}
        if self._config.second_verifier:
            columns["verifier_checked"] = self._checked
            columns["verifier_disagreements"] = self._disagreements
        return columns
