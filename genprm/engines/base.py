"""The `Engine` contract: prompts in, completions out, and what an engine can do.

An engine knows tokens, not critiques: it never sees a verdict, a step or a vote. Implementations
live beside this file (`vllm`, `openai`, `scripted`) and are built by `genprm.engines.build`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict


class Message(TypedDict):
    """One chat message."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt in every form an engine may want.

    `messages` ends with the user's turn; `prefill` is the beginning of the assistant's turn that
    the completion continues. `token_ids` is the whole of it rendered and tokenised once; it is
    empty only for engines without a local tokenizer.
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
    string that matched (the text never contains it), else None. `label_probs` maps each asked
    label token id to its probability at the FIRST generated position, before temperature;
    None where the engine cannot tell.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: str
    stop_reason: str | None = None
    label_probs: dict[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """All completions of one request, and what it cost in tokens."""

    completions: tuple[Completion, ...]
    prompt_tokens: int = 0
    cached_tokens: int = 0
    resent: int = 0  # times that it had to be asked again, of a server that was busy or away


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do. A missing capability has a fall-back that the records name.

    label_probs: without it a vote is its hard verdict, 0 or 1 (`p_correct` is null).
    prefill: without it the verdict is parsed from the text, and a critique that ran out of
    budget is invalid instead of being forced to a verdict.
    seeds: without it a seed is ignored. lora: without it naming an adapter is an error.
    """

    label_probs: bool = False
    prefill: bool = False
    seeds: bool = False
    lora: bool = False
    pooling: bool = False


class Engine(Protocol):
    """Generates; safe for many concurrent calls from one event loop."""

    name: str  # model name or path, as records cite it
    capabilities: Capabilities
    max_model_len: int  # prompt and completion together, in tokens
    tokenizer: Any  # a transformers tokenizer, or None where prompts are sent as messages

    async def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        label_token_ids: Sequence[int] = (),
        adapter: str | None = None,
    ) -> Generation:
        """Sample `sampling.n` completions of one prompt.

        Raises:
            PromptTooLongError: the prompt leaves no room for `sampling.max_tokens`.
            EngineError: the engine is dead or refused the call.
        """
        ...

    async def check_health(self) -> None:
        """Raise EngineError if the engine cannot serve any more."""
        ...

    async def close(self) -> None:
        """Free processes and memory; the engine is unusable afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """Cost of some calls, summed by `+`."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    critiques: int = 0
    requests: int = field(default=0)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.critiques + other.critiques,
            self.requests + other.requests,
        )
