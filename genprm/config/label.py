"""How rollouts value the steps of a solution."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genprm.config.base import Section


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
    rollouts: int = Field(default=8, ge=1)
    """Rollouts from each prefix; for `adaptive`, the most of them per step of a solution."""
    partial: bool = False
    """Where the first error stays open, keep the labels of the steps that are surely before it;
    those from the first uncertain step on are null, and trained on by nobody."""
    reuse: Literal["none", "rollouts", "solution"] = "none"
    """Also count for a prefix the rollouts from earlier ones that pass through it, and with
    `solution` the solution itself, if this policy wrote it. Unbiased unless the solutions were
    chosen by their outcome or sampled at another temperature."""
    splitter: str = "lines"
    """How the solutions were split into steps, so that rollouts go on in that form."""
    min_ratio: float = Field(default=0.8, gt=0)
    """`relative_progress`: a good step keeps at least this share of the value before it."""
    advantage_weight: float = Field(default=0.8, ge=0)
    """`relative_effective`: weight of the advantage beside the value."""
    confidence: float = Field(default=0.9, gt=0.5, lt=1)
    """`adaptive`: stop at this posterior probability of the first error."""
    min_confidence: float = Field(default=0.5, ge=0, le=1)
    """`adaptive`: where rollouts end before that, the likeliest first error is a label all the same
    if it has this posterior probability, up to `confidence`. 0 labels whatever was rolled out."""
    round_rollouts: int = Field(default=1, ge=1)
    """`adaptive`: rollouts between two looks at the posterior."""
    min_information: float = Field(default=0.035, ge=0)
    """`adaptive`: give a solution up where the best round tells less about the places of its errors
    than this many nats for the price of writing it once."""
    recovery_rate: float = Field(default=0.02, gt=0, lt=0.5)
    """`adaptive`: how often a wrong step still ends in the right answer, by repair or by luck."""
    repeat_rate: float = Field(default=0.1, gt=0, lt=1)
    """`adaptive`: how often a rollout that goes wrong after good steps ends in the very answer of
    the wrong solution that they come from."""
    second_verifier: Literal["exact", "math", "choice"] | None = None
    """Also asked about every stated answer, but of code and where it is itself the first. That one
    decides; where they differ is counted, and written to OUT.disagreements.jsonl."""
    audit: int = Field(default=0, ge=0)
    """This many rollouts, at most one of a solution, are set aside for a person to read, in
    OUT.audit.html, which is written when the output is finished."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of a rollout."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the likeliest tokens that together hold this probability."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest rollout in tokens."""
