"""What engines promise: `Engine` turns prompts into completions, `PoolingEngine` into values.

An engine knows tokens, not critiques: it never sees a verdict, a step or a vote. Engines live
beside this file (`vllm`, `openai`, `scripted` generate, `vllm_pooling` pools) and are built by
`genprm.engines.build_engine` and `build_pooling_engine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from genprm.generation import Generation, Pooling, Prompt, Sampling


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do. A missing capability has a fall-back that the records name.

    An engine either generates or pools, since both take the whole model.

    label_probs: without it a vote is its hard verdict, 0 or 1 (`p_correct` is null).
    prefill: without it the verdict is parsed from the text, and a critique that ran out of
    budget is invalid instead of being forced to a verdict.
    seeds: without it a seed is ignored. lora: without it naming an adapter is an error.
    pooling: it is a `PoolingEngine`, and none of the others holds.
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


class PoolingEngine(Protocol):
    """Reads a prompt once and gives the values that the model's head has at each of its tokens;
    safe for many concurrent calls from one event loop."""

    name: str
    capabilities: Capabilities  # with `pooling`
    max_model_len: int  # of the prompt, in tokens
    tokenizer: Any  # a transformers tokenizer

    async def pool(self, prompt: Prompt) -> Pooling:
        """The head's values at every token of one prompt, which is given by its token ids.

        Raises:
            PromptTooLongError: more than `max_model_len` tokens.
            EngineError: the engine is dead or refused the call.
        """
        ...

    async def check_health(self) -> None:
        """Raise EngineError if the engine cannot serve any more."""
        ...

    async def close(self) -> None:
        """Free processes and memory; the engine is unusable afterwards."""
        ...
