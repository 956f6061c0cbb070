"""What engines share: the check of sampling, and how much of a foreign error they repeat."""

from __future__ import annotations

from genprm.errors import ConfigError
from genprm.generation import Sampling

MESSAGE_LIMIT = 300  # characters of a foreign error that are worth showing


def check_sampling(sampling: Sampling) -> None:
    """Refuse sampling that no engine can mean: ConfigError, in one line."""
    if sampling.n < 1 or sampling.max_tokens < 1:
        raise ConfigError(
            f"n and max_tokens must be at least 1, got n={sampling.n}, "
            f"max_tokens={sampling.max_tokens}"
        )
    if sampling.temperature == 0 and sampling.n > 1:
        raise ConfigError(
            f"temperature 0 gives the same completion every time: n must be 1, got {sampling.n}"
        )
