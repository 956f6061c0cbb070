"""The records that pass between stages, and nothing that acts on them.

Every record is a frozen pydantic model. Columns a record does not know pass through untouched
(`extra="allow"`), so a stage never loses what a user put into a row. Files are read and written
by `genprm.data.rows`; formulas for `values` and `labels` stand in `genprm.labeling`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Verdict = Literal["correct", "incorrect", "invalid"]
# `overall` is the critic's verdict of the whole solution, where its pack asks for one.
Aggregate = Literal["min", "product", "mean", "last", "overall"]
StepStatus = Literal[
    "ok", "no_valid_critique", "too_long", "empty", "deadline", "not_scored", "error"
]


def content_id(*parts: Any) -> str:
    """A stable id for content that came without one: 16 hex digits of a SHA-256."""
    blob = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(blob.encode()).hexdigest()[:16]


class Record(BaseModel):
    """Base of all records: frozen, strict about types, tolerant of extra columns."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    def row(self) -> dict[str, Any]:
        """The record as a plain JSON-able dict, extra columns included."""
        return self.model_dump(mode="json")


class Identified(Record):
    """A record about a problem, with an id of its own or derived from what it says."""

    id: str
    problem: str

    @model_validator(mode="before")
    @classmethod
    def _derive_id(cls, data: Any) -> Any:
        """Content is the id where the source has none; numbers become strings."""
        if not isinstance(data, Mapping):
            return data
        row = dict(data)
        if row.get("id") in (None, ""):
            attempts = [row["candidates"]] if "candidates" in row else []
            row["id"] = content_id(row.get("problem"), row.get("steps"), *attempts)
        elif isinstance(row["id"], int):
            row["id"] = str(row["id"])
        return row


class Problem(Identified):
    """A problem and what decides whether an answer to it is right."""

    answer: str | None = None
    tests: list[str] | None = None  # code tasks: unit tests in place of an answer
    task: str | None = None  # names the verifier and, for built-in tasks, the oracle

    @field_validator("answer", mode="before")
    @classmethod
    def _answer_as_text(cls, answer: Any) -> Any:
        number = isinstance(answer, int | float) and not isinstance(answer, bool)
        return str(answer) if number else answer


class Solution(Problem):
    """A problem with one attempt at it, split into steps."""

    steps: list[str] = Field(min_length=1)
    final_answer: str | None = None
    outcome: bool | None = None  # whether the verifier accepted final_answer
    policy: str | None = None
    splitter: str | None = None  # by which `genprm solve` cut it into steps
    temperature: float | None = None  # at which it was sampled


class LabelCost(Record):
    """What labelling one solution cost."""

    rollouts: int = 0
    completion_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0


class LabelledSolution(Solution):
    """A solution with Monte Carlo values per step.

    The lists have one entry per step. `labels` are null after the first error and where no
    rollout could be verified. `first_error` is 0-based, -1 for none.
    """

    values: list[float | None]
    wins: list[int]
    rollouts: list[int]
    labels: list[bool | None]
    first_error: int
    estimator: str
    cost: LabelCost = LabelCost()

    @model_validator(mode="after")
    def _one_entry_per_step(self) -> LabelledSolution:
        for name in ("values", "wins", "rollouts", "labels"):
            if len(getattr(self, name)) != len(self.steps):
                raise ValueError(
                    f"{len(self.steps)} steps but {len(getattr(self, name))} entries in {name!r}"
                )
        return self


class CritiqueTarget(Record):
    """One training row in TRL's prompt-completion form."""

    id: str
    prompt: list[dict[str, str]]
    completion: list[dict[str, str]]
    label: bool
    value: float | None = None
    weight: float = 1.0
    step: int
    source_id: str
    writer: str


class Critique(Record):
    """One sampled critique. `p_correct` is P(correct) renormalised over the two labels and
    `label_mass` the probability of both together; null where the engine gives none."""

    text: str
    verdict: Verdict
    p_correct: float | None = None
    label_mass: float | None = None
    finish_reason: str
    tokens: int
    forced: bool = False  # the budget ran out and the verdict was asked for


class Votes(Record):
    """How many critiques of a step voted for what."""

    correct: int = 0
    incorrect: int = 0
    invalid: int = 0


class StepJudgement(Record):
    """The vote on one step. `score` is null unless `status` is ok."""

    index: int
    score: float | None
    calibrated: float | None = None
    verdict: Verdict | None
    votes: Votes = Votes()
    status: StepStatus
    reason: str | None = None  # one line, where status is not ok
    critiques: list[Critique] | None = None


class CriticInfo(Record):
    """Which critic judged: a judgement is made by one version from start to end."""

    model: str
    version: str | None = None
    pack: str
    fingerprint: str
    scoring: str  # "label_probs" or "hard_votes" (the stated fall-back)


class Judgement(Record):
    """The judgement of one solution: exactly one entry per given step, in order."""

    id: str
    steps: list[StepJudgement]
    first_error: int  # -1: none
    solution_score: float | None
    aggregate: Aggregate
    overall: float | None = None  # P(correct) of the whole, where the pack asks for it
    covered: bool  # no null before the first error
    usage: dict[str, int]
    critic: CriticInfo


class BestOfN(Record):
    """The judgements of n solutions to one problem, and the place of the best; null where none
    has a score."""

    best: int | None
    judgements: list[Judgement]


class ScoreCalibration(Record):
    """What one critic's step scores mean: P(correct, if all before it are) as a curve over the
    score, linear between its points. It holds for the critic, the votes and the sampling that it
    was fitted on. `held_out` has Brier score and ECE of each method on rows kept out of its fit."""

    method: str
    scores: list[float] = Field(min_length=2)
    probabilities: list[float] = Field(min_length=2)
    critic: CriticInfo
    votes: int
    early_stop: bool
    sampling: dict[str, float]
    source: str
    steps: int
    solutions: int
    held_out: dict[str, dict[str, float]]

    @model_validator(mode="after")
    def _a_curve(self) -> ScoreCalibration:
        rising = (sorted(values) == values for values in (self.scores, self.probabilities))
        if len(self.scores) != len(self.probabilities) or not all(rising):
            raise ValueError("scores and probabilities must have the same length and be sorted")
        return self


class EvaluationRow(Identified):
    """A solution whose first error is known. `first_error` is 0-based, -1 for none."""

    steps: list[str] = Field(min_length=1)
    first_error: int = Field(ge=-1)
    source: str = "unnamed"

    @model_validator(mode="after")
    def _in_range(self) -> EvaluationRow:
        if self.first_error >= len(self.steps):
            raise ValueError(f"first_error {self.first_error} but only {len(self.steps)} steps")
        return self


class Candidate(Record):
    """One of n attempts at a problem."""

    steps: list[str]
    answer: str | None = None
    correct: bool
    step_scores: list[float | None] | None = None


class BestOfNRow(Identified):
    """A problem with n attempts, to choose among by score."""

    answer: str | None = None
    candidates: list[Candidate] = Field(min_length=1)
