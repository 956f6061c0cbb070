"""The scoring service."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from genprm.config.base import Section


class ServeConfig(Section):
    """The scoring service."""

    host: str = "127.0.0.1"
    """Address that the service listens on; 0.0.0.0 for all."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port that the service listens on; 0 takes a free one."""
    route_prefix: str = Field(default="/", pattern="^/")
    """Path of the service's routes."""
    num_replicas: int = Field(default=1, ge=1)
    """Copies of engine and scorer, where `autoscaling` does not count them."""
    autoscaling: dict[str, Any] | None = None
    """Copies by load: `max_replicas` and further fields of Ray Serve's `AutoscalingConfig`
    (`min_replicas`, `target_ongoing_requests`, `upscale_delay_s`, `downscale_delay_s`, ...). The
    target is two thirds of `max_ongoing_requests` unless named. Null: `num_replicas` copies."""
    max_ongoing_requests: int = Field(default=64, ge=1)
    """Requests that one replica works on at once."""
    max_queued_requests: int = Field(default=4096, ge=-1)
    """Requests, of all routes together, that wait for a replica before the service answers 503 with
    `Retry-After`: room for the rollouts that a trainer sends at once. -1: no limit."""
    retry_after_s: int = Field(default=2, ge=1)
    """What such a 503 asks callers to wait, in seconds: some time in which a fair part of the
    queue is worked off."""
    drain_s: float = Field(default=60, ge=0)
    """Seconds that a replica which is to end has for the requests that it works on."""
    step_marker: str = Field(default="<extra_0>", min_length=1)
    """`/pooling` and `/classify`: the text that ends each step of the assistant's answer. The
    default is the marker of Qwen2.5-Math-PRM."""
    unscored: float | None = Field(default=0.0, ge=0, le=1)
    """Number returned, and flagged, for an unscored step or solution by `/get_reward`, `/pooling`
    and `/classify`, which cannot say null. Null: such a request is answered with an error."""

    @model_validator(mode="after")
    def _one_way_to_count(self) -> ServeConfig:
        if self.autoscaling is not None and self.num_replicas != 1:
            raise ValueError("num_replicas is for a fixed number: leave it out with autoscaling")
        return self
