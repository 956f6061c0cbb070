"""An engine whose words come from a Python function: exact, instant, without any model.

It keeps the contract of a real engine to the letter: stop strings, token budgets, context
length, label probabilities, health. It makes scorer logic testable and serves as the reference
for what an engine must do. Knows no prompts and no verdicts.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from genprm.engines.base import Capabilities
from genprm.engines.common import check_sampling
from genprm.errors import ConfigError, EngineError, PromptTooLongError
from genprm.generation import Completion, Generation, Prompt, Sampling

if TYPE_CHECKING:
    from genprm.config.engine import EngineConfig

# (prompt, sampling, number of the completion) -> all of the text, before stops and budget
Script = Callable[[Prompt, Sampling, int], str]
# (prompt, label token ids) -> a probability for each
LabelScript = Callable[[Prompt, Sequence[int]], Sequence[float]]

DEFAULT_CONTEXT = 4096


class ScriptedTokenizer:
    """Words with their leading space, digits and signs as tokens; ChatML as the chat format.

    Ids are checksums of the pieces, the same in every process; an instance decodes what it has
    encoded.
    """

    all_special_tokens = ("<|im_start|>", "<|im_end|>")
    _piece = re.compile(r"<\|im_start\|>|<\|im_end\|>| ?[^\W\d]+|\d|\s|[^\w\s]")

    def __init__(self) -> None:
        self._pieces: dict[int, str] = {}

    def __call__(self, text: str, add_special_tokens: bool = False) -> dict[str, list[int]]:
        """`{"input_ids": [...]}`, as transformers has it."""
        ids: list[int] = []
        for piece in self._piece.findall(text):
            special = piece in self.all_special_tokens
            token = self.all_special_tokens.index(piece) if special else _checksum(piece)
            self._pieces[token] = piece
            ids.append(token)
        return {"input_ids": ids}

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids that this instance has encoded."""
        return "".join(self._pieces[token] for token in ids)

    def get_added_vocab(self) -> dict[str, int]:
        """The special tokens and their ids."""
        return {token: place for place, token in enumerate(self.all_special_tokens)}

    def apply_chat_template(
        self, messages: Sequence[dict[str, str]], tokenize: bool, add_generation_prompt: bool
    ) -> str:
        """The messages as ChatML text; `tokenize` must be False."""
        turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages]
        return "".join(turns) + ("<|im_start|>assistant\n" if add_generation_prompt else "")


class ScriptedEngine:
    """Completions by `script`; label probabilities by `label_probs` where it is given.

    A request that asks for labels is answered by `label_probs` alone, its text the likeliest
    label; all other text comes from `script`. Both may raise what an engine raises. `calls` holds
    every request so far, with `keep_calls`; `alive = False` makes the engine a dead one. With
    `tokenizer=None` it behaves as an engine that is sent messages.
    """

    def __init__(
        self,
        script: Script,
        *,
        label_probs: LabelScript | None = None,
        tokenizer: Any = None,
        prefill: bool = True,
        max_model_len: int = DEFAULT_CONTEXT,
        name: str = "scripted",
        keep_calls: bool = True,
    ):
        self.name = name
        self.tokenizer = tokenizer
        self.max_model_len = max_model_len
        self.capabilities = Capabilities(
            label_probs=label_probs is not None, prefill=prefill, seeds=True, lora=True
        )
        self.calls: list[tuple[Prompt, Sampling]] = []
        self.alive = True
        self._script, self._keep_calls = script, keep_calls
        self._label_probs = label_probs

    async def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        label_token_ids: Sequence[int] = (),
        adapter: str | None = None,
    ) -> Generation:
        """See `Engine.generate`."""
        check_sampling(sampling)
        await self.check_health()
        room = self.max_model_len - len(prompt.token_ids)
        if room < 1:
            raise PromptTooLongError(len(prompt.token_ids), self.max_model_len)
        if self._keep_calls:
            self.calls.append((prompt, sampling))
        if label_token_ids and self._label_probs is not None:
            return self._labels(prompt, label_token_ids, self._label_probs)
        budget = min(sampling.max_tokens, room)
        texts = [self._script(prompt, sampling, i) for i in range(sampling.n)]
        completions = tuple(self._finish(text, sampling.stop, budget) for text in texts)
        return Generation(completions, prompt_tokens=len(prompt.token_ids))

    async def check_health(self) -> None:
        """Raise EngineError if the engine is dead or closed."""
        if not self.alive:
            raise EngineError(f"the engine {self.name} is dead")

    async def close(self) -> None:
        """End the engine."""
        self.alive = False

    def _labels(
        self, prompt: Prompt, token_ids: Sequence[int], label_probs: LabelScript
    ) -> Generation:
        probabilities = dict(zip(token_ids, label_probs(prompt, token_ids), strict=True))
        likeliest = max(probabilities, key=lambda token: probabilities[token])
        text = self.tokenizer.decode([likeliest]) if self.tokenizer else ""
        completion = Completion(text, (likeliest,), "length", label_probs=probabilities)
        return Generation((completion,), prompt_tokens=len(prompt.token_ids))

    def _finish(self, text: str, stops: Sequence[str], budget: int) -> Completion:
        """The text up to its first stop string or its budget of tokens, whichever comes first."""
        matches = [(text.find(stop), stop) for stop in stops if stop in text]
        end, stop = min(matches, default=(len(text), None))
        tokenizer = self.tokenizer or _WORDS
        ids = tuple(tokenizer(text[: end + len(stop or "")], add_special_tokens=False)["input_ids"])
        if len(ids) > budget:
            return Completion(tokenizer.decode(ids[:budget]), ids[:budget], "length")
        return Completion(text[:end], ids, "stop", stop)


def _checksum(piece: str) -> int:
    return zlib.crc32(piece.encode()) + len(ScriptedTokenizer.all_special_tokens)


_WORDS = ScriptedTokenizer()  # counts budgets where the engine is sent messages


def scripted_engine(config: EngineConfig, model: str) -> ScriptedEngine:
    """The engine of a config: `extra.script` and `extra.label_probs` are `module:function`."""
    if "script" not in config.extra:
        raise ConfigError("engine.extra.script: engine.kind scripted needs module:function here")
    label_probs = config.extra.get("label_probs")
    return ScriptedEngine(
        _function("script", config.extra["script"]),
        label_probs=None if label_probs is None else _function("label_probs", label_probs),
        tokenizer=ScriptedTokenizer(),
        max_model_len=config.max_model_len or DEFAULT_CONTEXT,
        name=model,
        keep_calls=False,  # nobody could look at them, and a long job would fill its memory
    )


def _function(key: str, path: Any) -> Any:
    module, _, name = str(path).partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        problem = f"engine.extra.{key}: there is no function {path} (module:function)"
        raise ConfigError(problem) from None
