"""The vocabulary of generation: prompts, sampling, completions, pooled values, and their cost.

Data only: engines turn the first into the last, and everything above speaks of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


class Message(TypedDict):
    """One chat message."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt in every form an engine may want.

    `messages` ends with the user's turn; `prefill` is the beginning of the assistant's turn that
    the completion continues. `token_ids` is all of this, rendered and tokenised once; it is empty
    only for engines without a local tokenizer.
    """

    messages: tuple[Message, ...]
    prefill: str = ""
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. With a seed, child i of n samples with `seed + i`."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: no limit
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled completion.

    `finish_reason` is `stop`, `length`, `abort`, `error` or `repetition`; `stop_reason` the stop
    string that matched (the text never contains it), else None. `label_probs` maps each requested
    label token id to its probability at the FIRST generated position, before temperature;
    None where the engine cannot tell.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: str
    stop_reason: str | None = None
    label_probs: dict[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Cost of some requests in tokens, summed by `+`."""

    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt tokens
    completion_tokens: int = 0
    completions: int = 0
    requests: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.completions + other.completions,
            self.requests + other.requests,
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """All completions of one request, and what it cost in tokens."""

    completions: tuple[Completion, ...]
    prompt_tokens: int = 0
    cached_tokens: int = 0
    resent: int = 0  # how often the request was sent again, to a server that was busy or away

    @property
    def usage(self) -> Usage:
        """What this one request cost."""
        return Usage(
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=sum(len(c.token_ids) for c in self.completions),
            completions=len(self.completions),
            requests=1,
        )


@dataclass(frozen=True, slots=True)
class Pooling:
    """What a model's head says of one prompt: for each token, one raw value (logit) per label."""

    values: tuple[tuple[float, ...], ...]
    cached_tokens: int = 0

    @property
    def usage(self) -> Usage:
        """What this one request cost."""
        return Usage(prompt_tokens=len(self.values), cached_tokens=self.cached_tokens, requests=1)
