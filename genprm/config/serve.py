"""The scoring service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from genprm.config.base import Section
from genprm.prompts.chat import END_TOKENS


class AutoscalingConfig(Section):
    """How many replicas there are, by how much they have to do."""

    min_replicas: int = Field(default=1, ge=1)
    """Replicas that are always there."""
    max_replicas: int = Field(ge=1)
    """Replicas that there are at most."""
    target_ongoing_requests: float | None = Field(default=None, gt=0)
    """Requests that each replica should have, running or waiting; null: two thirds of
    `serve.max_ongoing_requests`."""
    upscale_delay_s: float = Field(default=30, ge=0)
    """Seconds of more requests before a replica is added."""
    downscale_delay_s: float = Field(default=600, ge=0)
    """Seconds of fewer requests before one is taken away."""

    @model_validator(mode="after")
    def _a_range(self) -> AutoscalingConfig:
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas {self.max_replicas} is less than min_replicas {self.min_replicas}"
            )
        return self


class ServeConfig(Section):
    """The scoring service."""

    host: str = "127.0.0.1"
    """Address that the service listens on; 0.0.0.0 for all."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port that the service listens on."""
    route_prefix: str = Field(default="/", pattern="^/")
    """Path under which the routes stand."""
    num_replicas: int = Field(default=1, ge=1)
    """Copies of engine and scorer, where `autoscaling` does not count them."""
    autoscaling: AutoscalingConfig | None = None
    """Copies by load; null: `num_replicas` of them."""
    max_ongoing_requests: int = Field(default=64, ge=1)
    """Requests that one replica works on at once."""
    max_queued_requests: int = Field(default=256, ge=-1)
    """Requests that wait for a replica before the service answers 503; -1: no limit."""
    retry_after_s: int = Field(default=2, ge=1)
    """What such a 503 asks callers to wait, in seconds: some time in which a fair part of the
    queue is worked off."""
    drain_s: float = Field(default=60, ge=0)
    """Seconds that a replica which is to end has for the requests that it works on."""
    step_marker: str = Field(default="<extra_0>", min_length=1)
    """`/pooling` and `/classify`: what stands behind each step of the assistant's text; a text
    without it is split by `score.splitter`. The default is the marker of Qwen2.5-Math-PRM."""
    end_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = END_TOKENS
    """What may end the text of a solution in the formats of others, and is no part of it."""
    unscored: float | None = Field(default=None, ge=0, le=1)
    """Stands for what was not scored in the formats of others, which have no word for it. Null:
    such a request is an error."""

    @property
    def most_replicas(self) -> int:
        """How many replicas there may be at once."""
        return self.autoscaling.max_replicas if self.autoscaling else self.num_replicas

    @model_validator(mode="after")
    def _scales(self) -> ServeConfig:
        if self.autoscaling is None:
            return self
        if self.num_replicas != 1:
            raise ValueError("num_replicas is for a fixed number: leave it out with autoscaling")
        target = self.autoscaling.target_ongoing_requests or 0
        if target > self.max_ongoing_requests:
            raise ValueError(
                f"autoscaling.target_ongoing_requests {target:g} is more than a replica works on "
                f"at once (max_ongoing_requests {self.max_ongoing_requests})"
            )
        return self
