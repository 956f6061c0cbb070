"""How rollouts value the steps of a solution."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genprm.config.base import SPEED_ONLY, Section


class AdaptiveConfig(Section):
    """The estimator `adaptive`."""

    confidence: float = Field(default=0.9, gt=0.5, lt=1)
    """Stop at this posterior probability of the first error."""
    min_confidence: float = Field(default=0.5, ge=0, le=1)
    """Where rollouts end before that, the likeliest first error is a label all the same if it has
    this posterior probability, up to `confidence`. 0 labels whatever was rolled out."""
    min_information: float = Field(default=0.035, ge=0)
    """Give a solution up where the best round tells less about the places of its errors than this
    many nats for the price of writing it once."""
    recovery_rate: float = Field(default=0.02, gt=0, lt=0.5)
    """How often a wrong step still ends in the right answer, by repair or by luck."""
    repeat_rate: float = Field(default=0.1, gt=0, lt=1)
    """How often a rollout that goes wrong after good steps ends in the very answer of the wrong
    solution that they come from."""


class LabelConfig(Section):
    """How rollouts value the steps of a solution."""

    estimator: Literal[
        "flat_hard",
        "flat_soft",
        "first_zero",
        "relative_progress",
        "relative_effective",
        "binary_search",
        "adaptive",
    ] = "flat_hard"
    """How rollouts are spent and read; each is a module of `genprm.labeling`. `flat_soft` is
    `flat_hard` whose training rows are also weighted by value."""
    adaptive: AdaptiveConfig = AdaptiveConfig()
    """The estimator `adaptive`."""
    rollouts: int = Field(default=8, ge=1)
    """Rollouts from each prefix; for `adaptive`, the most of them per step of a solution."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of a rollout."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the likeliest tokens that together hold this probability."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest rollout in tokens."""
    partial: bool = False
    """Where the first error stays open, keep the labels of the steps that are surely before it;
    those from the first uncertain step on are null, and training leaves them out."""
    reuse: Literal["none", "rollouts", "solution"] = "none"
    """Also count for a prefix the rollouts from earlier ones that pass through it, and with
    `solution` the solution itself, if this policy wrote it; one sampled at another temperature than
    `temperature` is then refused. Biased if the solutions were chosen by their outcome."""
    second_verifier: Literal["exact", "math", "choice"] | None = None
    """A second opinion on every stated answer, except for code and where it is already the first
    verifier. The first one decides; disagreements are counted and written to
    OUT.disagreements.jsonl."""
    audit: int = Field(default=0, ge=0, json_schema_extra=SPEED_ONLY)
    """This many rollouts, at most one of a solution, are set aside for a person to read, in
    OUT.audit.html, which is written when the output is finished."""
