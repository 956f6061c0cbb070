"""How steps are judged."""

from __future__ import annotations

from pydantic import Field, model_validator

from genprm.config.base import SPEED_ONLY, Section, check_greedy
from genprm.records import Aggregate

NO_CALIBRATION = "none"  # of `calibration`: leaves the critic's own aside


class EarlyStoppingConfig(Section):
    """When a step needs no more votes."""

    enabled: bool | None = None
    """Ask for critiques in rounds, and for no more where those to come would not change the
    verdict. Without it every step gets all its votes. Null: the service and handles do, unless the
    prompt pack is of a published critic; commands, whose figures are of all votes, do not."""
    round_votes: int = Field(default=2, ge=1)
    """Critiques per round, or as many as can settle a vote if that takes more."""
    risk: float = Field(default=0.0, ge=0, lt=0.5)
    """How probable a change of the verdict may be. At 0 none can come: the verdicts are those of
    all votes. More saves most where only verdicts count, since scores of few votes are coarse."""


class ScoreConfig(Section):
    """How steps are judged."""

    votes: int = Field(default=8, ge=1)
    """Critiques sampled per step."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature of a critique; 0 allows one vote only."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the likeliest tokens that together hold this probability."""
    top_k: int = Field(default=0, ge=0)
    """Sample from this many of the likeliest tokens; 0: from all."""
    max_critique_tokens: int = Field(default=256, ge=1)
    """Longest critique in tokens; one that is cut off there is asked for its verdict."""
    aggregate: Aggregate = "min"
    """How step scores become the score of a solution."""
    return_critiques: bool = False
    """Keep the critiques in the judgement."""
    stop_at_first_error: bool = False
    """Judge step after step and leave those after the first error unjudged."""
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    """When a step needs no more votes."""
    deadline_s: float | None = Field(default=None, gt=0)
    """Seconds for one solution; steps not judged by then have status deadline. Null: no limit."""
    use_label_probs: bool = True
    """Read the verdict's probability from the label tokens; false counts written verdicts."""
    # its content counts instead, see `cluster.stages.score`
    calibration: str | None = Field(default=None, json_schema_extra=SPEED_ONLY)
    """A file of `genprm calibrate`, by which steps get calibrated scores; null takes the one in the
    critic's directory, if there is one, `none` takes none."""
    max_concurrency: int = Field(default=64, ge=1, json_schema_extra=SPEED_ONLY)
    """Steps in work at once."""

    @property
    def early_stop(self) -> bool | None:
        """`early_stopping.enabled` by the name of the request's option."""
        return self.early_stopping.enabled

    @model_validator(mode="after")
    def _greedy_is_single(self) -> ScoreConfig:
        if "votes" in self.model_fields_set:  # else the prompt pack may set them
            check_greedy(self.temperature, self.votes, "votes")
        return self
