"""What stages with a policy share: which model it is, and how long its solutions are."""

from __future__ import annotations

from genprm.config.root import Config
from genprm.models.names import CriticSource, resolve_model

TYPICAL_STEPS = 6  # of a solution, to guess how many sequences a row keeps busy


def policy_source(config: Config) -> CriticSource:
    """The policy of the config."""
    return engine_source(config, config.models.policy)


def engine_source(config: Config, name: str) -> CriticSource:
    """A directory or hub name for an engine of ours; a server has names of its own."""
    return CriticSource(model=resolve_model(name) if config.engine.kind == "vllm" else name)
