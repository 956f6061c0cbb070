"""Everything that an evaluation measures: the content of its metrics.json, as one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genprm.evaluation.bon import BestOfNMetrics
from genprm.evaluation.first_error import (
    FirstErrorMetrics,
    VotesPoint,
    first_error_metrics,
    votes_curve,
    votes_curve_obstacle,
)
from genprm.evaluation.reliability import Reliability, reliability
from genprm.records import Aggregate, CriticInfo, EvaluationRow, Judgement
from genprm.util.stats import Figures


@dataclass(frozen=True)
class EvaluationMetrics(Figures):
    """What `genprm eval` measures on evaluation rows.

    `votes_curve` is None, with the reason in `votes_curve_obstacle`, if the judgements do not carry
    every critique. `critics` and `aggregate` are those that the judgements name.
    """

    first_error: FirstErrorMetrics
    votes_curve: list[VotesPoint] | None
    votes_curve_obstacle: str | None
    reliability: Reliability
    reliability_calibrated: Reliability
    critics: list[CriticInfo]
    aggregate: Aggregate | None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        content = super().json()
        critics = [critic.row() for critic in self.critics]
        return {**content.pop("first_error"), **content, "critics": critics}


@dataclass(frozen=True)
class ChoiceMetrics(Figures):
    """What `genprm eval` measures on best-of-n rows, and what scoring the candidates cost."""

    choices: BestOfNMetrics
    seconds: float | None
    completion_tokens: int | None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        content = super().json()
        return {**content.pop("choices"), **content}


def evaluation_metrics(
    rows: Sequence[EvaluationRow],
    judgements: Sequence[Judgement],
    *,
    seconds: float | None,
    provenance: Mapping[str, Any] | None = None,
) -> EvaluationMetrics:
    """Measure judged rows; `seconds` is the wall time of judging.

    Raises:
        InputError: rows and judgements do not pair up.
    """
    obstacle = votes_curve_obstacle(judgements)
    critics = {judgement.critic.model_dump_json(): judgement.critic for judgement in judgements}
    return EvaluationMetrics(
        first_error=first_error_metrics(rows, judgements, seconds),
        votes_curve=None if obstacle else votes_curve(rows, judgements),
        votes_curve_obstacle=obstacle,
        reliability=reliability(rows, judgements),
        reliability_calibrated=reliability(rows, judgements, calibrated=True),
        critics=list(critics.values()),
        aggregate=judgements[0].aggregate if judgements else None,
        provenance=dict(provenance or {}),
    )
