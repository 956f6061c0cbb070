"""The records that pass between stages, and nothing that acts on them.

Every record is a frozen pydantic model. Columns a record does not know pass through untouched
(`extra="allow"`), so a stage never loses what a user put into a row. Every column that our own
code writes or reads is a field here; one that only some rows have is an `optional` field. Files
are read and written by `genprm.data.rows`; formulas for `values` and `labels` are in
`genprm.labeling`.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from genprm.generation import Usage

Row = dict[str, Any]  # a record, or any row of a file, as a plain JSON-able dict
Verdict = Literal["correct", "incorrect", "invalid"]
# `overall` is the critic's verdict of the whole solution, where its pack asks for one.
Aggregate = Literal["min", "product", "mean", "last", "overall"]
StepStatus = Literal[
    "ok", "no_valid_critique", "too_long", "empty", "deadline", "not_scored", "error"
]


def content_id(*parts: Any) -> str:
    """A stable id for content that came without one: 16 hex digits of a SHA-256."""
    # of what JSON has no form for (dates and bytes in Parquet) the text counts
    blob = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(blob.encode()).hexdigest()[:16]


class Record(BaseModel):
    """Base of all records: frozen, strict about types, tolerant of extra columns."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    def row(self) -> Row:
        """The record as a plain JSON-able dict, extra columns included."""
        return self.model_dump(mode="json")


OPTIONAL: dict[str, Any] = {"optional": True}


def optional() -> Any:
    """A field of an `OpenRecord` that only some rows have: None, and no column, unless set."""
    return Field(default=None, json_schema_extra=OPTIONAL)


class OpenRecord(Record):
    """A record of which some columns are optional: `row()` leaves out those that were never set.

    A column that was set to null stays, so that rows are written as they were read.
    """

    @model_serializer(mode="wrap")
    def _without_unset(self, write: SerializerFunctionWrapHandler) -> Row:
        row: Row = write(self)
        for name in optional_columns(type(self)) - self.model_fields_set:
            row.pop(name, None)
        return row


@functools.cache
def optional_columns(model: type[OpenRecord]) -> frozenset[str]:
    """The names of the optional fields of a record."""
    fields = model.model_fields.items()
    return frozenset(name for name, field in fields if field.json_schema_extra == OPTIONAL)


class Identified(OpenRecord):
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
    """A problem, and what decides whether an answer to it is right."""

    answer: str | None = None
    tests: list[str] | None = None  # code tasks: unit tests in place of an answer
    task: str | None = None  # names the verifier and, for built-in tasks, the oracle

    entry_point: str | None = optional()
    """Code tasks: what the tests' `check(candidate)` is called with, as HumanEval names it."""

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

    # Columns that `solve` writes.
    splitter: str | None = optional()
    """The splitter that cut it into steps; other stages refuse it under another."""
    temperature: int | float | None = optional()
    """The temperature at which it was sampled."""
    # The others only inform. In solutions of other origin they may hold anything.
    problem_id: Any = optional()
    """The `id` of the problem, a text where `solve` wrote it."""
    sample: Any = optional()
    """The number of this solution among the samples of its problem, from 0."""
    finish_reason: Any = optional()
    """Why the policy stopped, as in `Completion`."""
    completion_tokens: Any = optional()
    """How many tokens the policy wrote."""
    prompt_tokens: Any = optional()
    """Tokens of the one prompt that all samples of the problem share."""
    source: Any = optional()
    """Where the problem comes from, by name (Math-Shepherd's `task`)."""


class LabelCost(Record):
    """What labelling one solution cost."""

    rollouts: int = 0
    completion_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, usage: Usage, seconds: float) -> LabelCost:
        """The cost of rollouts that took `seconds` from the first to the last."""
        return cls(
            rollouts=usage.completions,
            completion_tokens=usage.completion_tokens,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            seconds=seconds,
        )

    @property
    def usage(self) -> Usage:
        """The rollouts and their tokens, to be summed; rows do not record the requests."""
        return Usage(self.prompt_tokens, self.cached_tokens, self.completion_tokens, self.rollouts)


class RolloutToRead(Record):
    """One rollout of a solution, drawn for a person to read."""

    prefix: int  # how many steps of the solution it was given
    continuation: list[str]  # the steps that it added
    end: str  # why it ended, as in `Completion`
    answer: str | None
    correct: bool | None
    second: bool | None  # the second verifier's opinion, if there is one


class Disagreement(Record):
    """An answer of a rollout of which the second verifier says the opposite."""

    prefix: int
    answer: str | None
    correct: bool  # by the verifier that decides


class SourceLabels(Record):
    """The labels of one of two sources that were combined."""

    estimator: str
    labels: list[bool | None]
    first_error: int


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

    estimator_settings: dict[str, Any] | None = optional()
    """The settings that decided the labels, by their keys in the `label` section."""
    intervals: list[list[float] | None] | None = optional()
    """Per step the 95 % Wilson bounds of its value; null without rollouts."""
    outcomes: list[list[bool | None]] | None = optional()
    """Per step, per rollout from it: right, wrong, or null for an invalid one."""
    borrowed: list[list[bool | None]] | None = optional()
    """Per step the outcomes of rollouts from earlier steps that passed through it."""
    invalid: list[int] | None = optional()
    """Per step how many rollouts were invalid."""
    value_reasons: list[str | None] | None = optional()
    """Per step why it has no value; null where it has one."""
    unlabelled_reason: str | None = optional()
    """Why the first error is not known; null where it is."""
    problem_value: float | None = optional()
    """Value of the problem before any step (relative estimators)."""
    posterior: list[float] | None = optional()
    """P(first error = step) for each step, and last P(no error) (`adaptive`)."""
    settled: float | None = optional()
    """The largest entry of `posterior`."""
    likeliest_first_error: int | None = optional()
    """The first error of that entry, -1 for none, also where it is too unsure to be a label."""
    repeats: list[int | None] | None = optional()
    """Per step the wrong rollouts that end in the solution's own answer; null where that is right
    or not known (`adaptive`)."""
    rollout_to_read: RolloutToRead | None = optional()
    """One rollout for a person to read; kept out of the finished output."""
    verifier_checked: int | None = optional()
    """How many answers both verifiers judged."""
    verifier_disagreements: list[Disagreement] | None = optional()
    """The answers that they judged differently."""
    source_labels: list[bool | None] | None = optional()
    """The labels as the source gave them, also those after the first error."""
    ratings: list[int] | None = optional()
    """PRM800K's ratings of the steps: 1, 0 (neutral) or -1."""
    human_steps: list[int] | None = optional()
    """PRM800K: the steps that the person who rated wrote, where no completion would do."""
    merged: list[SourceLabels] | None = optional()
    """The labels of both sources, where these were combined of two."""

    @model_validator(mode="after")
    def _one_entry_per_step(self) -> LabelledSolution:
        for name in ("values", "wins", "rollouts", "labels"):
            if len(getattr(self, name)) != len(self.steps):
                raise ValueError(
                    f"{len(self.steps)} steps but {len(getattr(self, name))} entries in {name!r}"
                )
        return self


class CritiqueTarget(OpenRecord):
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

    estimator: str | None = optional()
    """The estimator that made the label, if the row says so."""
    last: bool | None = optional()
    """Whether the solution ends with the step."""
    task: str | None = optional()
    """The task of the problem; classes are balanced within a task."""


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
    suspect: Any = optional()
    """Whether the row is likely to be wrong; figures are also given without such rows."""

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
    task: str | None = optional()
    """The task of the problem, for figures by task."""
    candidates: list[Candidate] = Field(min_length=1)
