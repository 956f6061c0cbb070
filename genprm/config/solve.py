"""How the policy writes solutions."""

from __future__ import annotations

from pydantic import Field, model_validator

from genprm.config.base import Section, check_greedy


class SolveConfig(Section):
    """How the policy writes solutions."""

    samples_per_problem: int = Field(default=1, ge=1)
    """Solutions sampled for each problem."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature; 0 takes the likeliest token and allows one sample only."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the likeliest tokens that together hold this probability."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest solution in tokens."""

    @model_validator(mode="after")
    def _greedy_is_single(self) -> SolveConfig:
        check_greedy(self.temperature, self.samples_per_problem, "samples_per_problem")
        return self
