"""The `Engine` contract: prompts in, completions out, and what an engine can do.

An engine knows tokens, not critiques: it never sees a verdict, a step or a vote. Implementations
live beside this file (`vllm`, `openai`, `scripted`) and are built by `genprm.engines.build`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from genprm.generation import Generation, Prompt, Sampling


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
