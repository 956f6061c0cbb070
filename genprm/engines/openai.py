"""An engine that asks an OpenAI-compatible server: hosted models, vLLM, SGLang, Ray Serve LLM.

It sends chat messages and leaves templates and tokens to the server; the `openai` client retries
what can be retried. What goes beyond the common protocol (prefill, label probabilities) is used
only where the config says that the server is vLLM's. Keys come from the environment and appear in
no message.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from genprm.engines.base import Capabilities
from genprm.engines.common import MESSAGE_LIMIT, check_sampling
from genprm.errors import ConfigError, EngineError, GenprmError, PromptTooLongError, one_line
from genprm.generation import Completion, Generation, Prompt, Sampling
from genprm.models.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAIError
    from openai.types.chat import ChatCompletion
    from openai.types.chat.chat_completion import Choice

    from genprm.config.engine import EngineConfig

UNKNOWN_CONTEXT = 2**31 - 1  # tokens; the server refuses what is too long for it
HEALTH_SECONDS = 10.0
START_RETRIES = 2  # a server that is not there at first has a wrong address
# vLLM's server fills what a request leaves out from the model's generation_config.json.
VLLM_PLAIN_SAMPLING = {"top_k": -1, "repetition_penalty": 1.0}
CONTEXT_MESSAGE = re.compile(r"context (length|size|window)|context_length_exceeded", re.IGNORECASE)
TOKEN_COUNT = re.compile(r"(\d+)(?: input)? tokens?|\((\d+)\)")


class OpenAIEngine:
    """One model of one server. Build it with `await OpenAIEngine.start(...)`.

    `config.extra` may hold `prefill: true` for a vLLM server, whose chat API can continue a
    begun answer, and with it `tokenizer`, the name or directory of the model's tokenizer: label
    tokens are named by id, so that probabilities need both. All its other keys go into the body
    of every request as they are; `max_completion_tokens` among them replaces `max_tokens`.

    Seeds are never sent: they promise little on a server, and a seeded request can kill vLLM's
    CPU engine. Token ids of completions are known from vLLM servers only.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        model: str,
        *,
        tokenizer: Any = None,
        max_model_len: int = UNKNOWN_CONTEXT,
        prefill: bool = False,
        body: dict[str, Any] | None = None,
    ):
        self.name = model
        self.capabilities = Capabilities(
            label_probs=prefill and tokenizer is not None, prefill=prefill
        )
        self.max_model_len = max_model_len
        self.tokenizer = tokenizer
        self._client = client
        self._body = body or {}
        self._url = str(client.base_url).rstrip("/")

    @classmethod
    async def start(cls, config: EngineConfig, model: str) -> OpenAIEngine:
        """Connect to `openai.base_url` (null: OpenAI itself), where `model` is the served name.

        The context length is the server's where it tells (vLLM does), else
        `config.max_model_len`.

        Raises:
            ConfigError: no key where one is needed, or a tokenizer that cannot be loaded.
            EngineError: the server cannot be reached or refuses the key.
        """
        from openai import AsyncOpenAI

        body = dict(config.extra)
        prefill, tokenizer_name = bool(body.pop("prefill", False)), body.pop("tokenizer", None)
        key = os.environ.get(config.openai.api_key_env)
        if key is None and config.openai.base_url is None:
            raise ConfigError(f"engine.openai.api_key_env: {config.openai.api_key_env} is not set")
        tokenizer = None
        if tokenizer_name:
            tokenizer = load_tokenizer(tokenizer_name, key="engine.extra.tokenizer")
        client = AsyncOpenAI(
            base_url=config.openai.base_url,
            api_key=key or "none",  # the client insists on one
            timeout=config.openai.timeout_s,
            max_retries=config.openai.retries,
        )
        engine = cls(
            client,
            model,
            tokenizer=tokenizer,
            max_model_len=config.max_model_len or UNKNOWN_CONTEXT,
            prefill=prefill,
            body=body,
        )
        engine.max_model_len = await engine._served_context() or engine.max_model_len
        return engine

    async def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        label_token_ids: Sequence[int] = (),
        adapter: str | None = None,
    ) -> Generation:
        """Sample `sampling.n` completions; see `Engine.generate`.

        A server that gives fewer than `n` choices gets further requests for the rest.
        """
        check_sampling(sampling)
        if adapter is not None:
            raise ConfigError(f"adapter {adapter}: a server's adapters are models of their own")
        if prompt.prefill and not self.capabilities.prefill:
            raise ConfigError(f"{self._url} cannot continue an answer; see engine.extra.prefill")
        first, resent = await self._chat(prompt, sampling, sampling.n, label_token_ids)
        others = await asyncio.gather(
            *(
                self._chat(prompt, sampling, 1, label_token_ids)
                for _ in range(sampling.n - len(first.choices))
            )
        )
        answers = [first, *(answer for answer, _ in others)]
        usages = [answer.usage for answer in answers if answer.usage is not None]
        details = [usage.prompt_tokens_details for usage in usages]
        return Generation(
            completions=tuple(
                _completion(choice, label_token_ids if self.capabilities.label_probs else ())
                for answer in answers
                for choice in answer.choices
            ),
            prompt_tokens=sum(usage.prompt_tokens for usage in usages),
            cached_tokens=sum((one.cached_tokens or 0) for one in details if one is not None),
            resent=resent + sum(again for _, again in others),
        )

    async def check_health(self) -> None:
        """Raise EngineError if the server is away or refuses the key."""
        from openai import APIStatusError, OpenAIError

        client = self._client.with_options(timeout=HEALTH_SECONDS, max_retries=0)
        try:
            await client.models.list()
        except APIStatusError as error:
            if error.status_code not in (404, 405):  # alive, but without a list of models
                raise self._failure(error) from error
        except OpenAIError as error:
            raise self._failure(error) from error

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._client.close()

    async def _served_context(self) -> int | None:
        """The context length that the server states for the model, in tokens."""
        from openai import APIStatusError, OpenAIError

        client = self._client.with_options(max_retries=START_RETRIES)
        try:
            served = (await client.models.list()).data
        except APIStatusError as error:
            if error.status_code in (404, 405):
                return None
            raise self._failure(error) from error
        except OpenAIError as error:
            raise self._failure(error) from error
        return next((getattr(m, "max_model_len", None) for m in served if m.id == self.name), None)

    async def _chat(
        self, prompt: Prompt, sampling: Sampling, n: int, label_token_ids: Sequence[int]
    ) -> tuple[ChatCompletion, int]:
        """The answer, and how often the client had to ask again for it."""
        from openai import OpenAIError

        request = self._request(prompt, sampling, n, label_token_ids)
        chat = self._client.chat.completions.with_raw_response
        try:
            response = await chat.create(**request)
            answer: ChatCompletion = response.parse()
        except OpenAIError as error:
            raise self._failure(error, len(prompt.token_ids)) from error
        if not getattr(answer, "choices", None):  # a page of HTML parses as text
            raise EngineError(f"{self._url} gave an answer without choices; is this the API's URL?")
        return answer, response.retries_taken

    def _request(
        self, prompt: Prompt, sampling: Sampling, n: int, label_token_ids: Sequence[int]
    ) -> dict[str, Any]:
        """The arguments of `chat.completions.create`."""
        messages = [dict(message) for message in prompt.messages]
        body = dict(self._body)
        request: dict[str, Any] = {
            "model": self.name,
            "messages": messages,
            "n": n,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "extra_body": body,
        }
        if "max_completion_tokens" not in body:
            request["max_tokens"] = sampling.max_tokens
        if sampling.stop:
            request["stop"] = list(sampling.stop)
        if self.capabilities.prefill:
            body |= VLLM_PLAIN_SAMPLING | {"return_token_ids": True}
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if prompt.prefill:
            messages.append({"role": "assistant", "content": prompt.prefill})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if label_token_ids and self.capabilities.label_probs:
            request["logprobs"] = True
            body |= {
                "logprob_token_ids": list(label_token_ids),
                "return_tokens_as_token_ids": True,
            }
        return request

    def _failure(self, error: OpenAIError, prompt_tokens: int = 0) -> GenprmError:
        """What a failed call means: too long a prompt, or a server that does not serve."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        if isinstance(error, APITimeoutError):
            return EngineError(f"{self._url} did not answer in time")
        if isinstance(error, APIConnectionError):
            return EngineError(f"{self._url} cannot be reached: {one_line(error, MESSAGE_LIMIT)}")
        if isinstance(error, APIStatusError):
            message = _message(error)
            if error.status_code in (400, 413, 422) and CONTEXT_MESSAGE.search(message):
                return _too_long(message, prompt_tokens, self.max_model_len)
            return EngineError(f"{self._url} answered {error.status_code}: {message}")
        return EngineError(f"{self._url}: {one_line(error, MESSAGE_LIMIT)}")


def _message(error: Any) -> str:
    """The server's own words in one line, with OpenAI's error code in front if it has one."""
    body = error.body if isinstance(error.body, dict) else {}
    words = " ".join(str(part) for part in (body.get("code"), body.get("message")) if part)
    return one_line(words, MESSAGE_LIMIT) if body.get("message") else one_line(error, MESSAGE_LIMIT)


def _too_long(message: str, prompt_tokens: int, limit: int) -> PromptTooLongError:
    """The error with the lengths that the server names; the larger one is the prompt's."""
    counts = sorted(int(a or b) for a, b in TOKEN_COUNT.findall(message))
    if len(counts) >= 2:
        return PromptTooLongError(counts[-1], counts[0])
    limit = counts[0] if counts else limit
    return PromptTooLongError(prompt_tokens or limit + 1, limit)


def _completion(choice: Choice, label_token_ids: Sequence[int]) -> Completion:
    """A choice as a completion; a reason that is not ours (`content_filter`) is an error."""
    reason = choice.finish_reason if choice.finish_reason in ("stop", "length") else "error"
    matched = getattr(choice, "stop_reason", None) or getattr(choice, "matched_stop", None)
    return Completion(
        text=choice.message.content or "",
        token_ids=tuple(getattr(choice, "token_ids", None) or ()),
        finish_reason=reason,
        stop_reason=matched if isinstance(matched, str) else None,
        label_probs=_label_probs(choice, label_token_ids),
    )


def _label_probs(choice: Choice, label_token_ids: Sequence[int]) -> dict[int, float] | None:
    """Probabilities of the labels at the first position; None if the server left one out."""
    if not label_token_ids or choice.logprobs is None or not choice.logprobs.content:
        return None
    entries = choice.logprobs.content[0].top_logprobs
    by_name = {entry.token: math.exp(entry.logprob) for entry in entries}
    names = {token: f"token_id:{token}" for token in label_token_ids}
    if not by_name.keys() >= set(names.values()):
        return None
    return {token: by_name[name] for token, name in names.items()}
