"""The OpenAI engine against real servers on loopback: a small one of ours, and vLLM's own."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from chat_server import Server
from genprm.config.engine import EngineConfig, OpenAIConfig
from genprm.engines.openai import OpenAIEngine
from genprm.errors import ConfigError, EngineError, PromptTooLongError
from genprm.generation import Prompt, Sampling
from running_engine import RunningEngine

ASK = Prompt(({"role": "system", "content": "Check."}, {"role": "user", "content": "1 + 1 = 2"}))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with server.serving():
        yield server


def config(url: str, **settings: Any) -> EngineConfig:
    """An engine of a server; `timeout_s` and `retries` are found in their section."""
    ours = {name: settings.pop(name) for name in ("timeout_s", "retries") if name in settings}
    server = OpenAIConfig(base_url=url, api_key_env="GENPRM_TEST_KEY", **ours)
    return EngineConfig(kind="openai", openai=server, **settings)


def generate(
    loop: asyncio.Runner, settings: EngineConfig, prompt: Prompt, *args: Any, **kwargs: Any
) -> Any:
    """One request through an engine of its own."""

    async def once() -> Any:
        engine = await OpenAIEngine.start(settings, "critic")
        try:
            return await engine.generate(prompt, *args, **kwargs)
        finally:
            await engine.close()

    return loop.run(once())


def test_request_and_answer_in_the_common_protocol(
    loop: asyncio.Runner, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENPRM_TEST_KEY", "secret")
    sampling = Sampling(
        n=3, temperature=0.7, top_p=0.9, max_tokens=50, stop=("\nVerdict:",), seed=1
    )
    settings = config(server.url, extra={"reasoning_effort": "low"})
    generation = generate(loop, settings, ASK, sampling, label_token_ids=(1, 2))
    assert server.requests == [
        {
            "model": "critic",
            "messages": [dict(message) for message in ASK.messages],
            "n": 3,
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 50,
            "stop": ["\nVerdict:"],
            "reasoning_effort": "low",
        }
    ]
    assert server.keys == ["Bearer secret"]
    assert [one.text for one in generation.completions] == [f"answer 1.{i}" for i in range(3)]
    assert {one.finish_reason for one in generation.completions} == {"stop"}
    assert {one.label_probs for one in generation.completions} == {None}
    assert (generation.prompt_tokens, generation.cached_tokens) == (11, 8)


def test_a_server_that_ignores_n_is_asked_for_the_rest(
    loop: asyncio.Runner, server: Server
) -> None:
    server.most_choices = 1
    generation = generate(loop, config(server.url), ASK, Sampling(n=4))
    assert len({one.text for one in generation.completions}) == 4
    assert [request["n"] for request in server.requests] == [4, 1, 1, 1]
    assert generation.prompt_tokens == 44


@pytest.mark.parametrize(
    ("choice", "reason", "matched"),
    [
        ({"finish_reason": "length"}, "length", None),
        ({"finish_reason": "content_filter"}, "error", None),
        ({"stop_reason": "\nVerdict:"}, "stop", "\nVerdict:"),  # vLLM
        ({"matched_stop": "\nVerdict:"}, "stop", "\nVerdict:"),  # SGLang
        ({"stop_reason": 151645}, "stop", None),  # a stop token
        ({"message": {"role": "assistant", "content": None}}, "stop", None),
    ],
)
def test_finish_and_stop_reasons(
    loop: asyncio.Runner, server: Server, choice: dict[str, Any], reason: str, matched: str | None
) -> None:
    server.choice = choice
    (one,) = generate(loop, config(server.url), ASK, Sampling()).completions
    assert (one.finish_reason, one.stop_reason) == (reason, matched)
    assert isinstance(one.text, str)


@pytest.mark.parametrize(
    ("status", "error", "lengths"),
    [
        (
            400,
            {
                "message": "This model's maximum context length is 4097 tokens. However, your "
                "messages resulted in 5012 tokens. Please reduce the length of the messages.",
                "code": "context_length_exceeded",
            },
            (5012, 4097),
        ),
        (
            400,
            {
                "message": "This model's maximum context length is 256 tokens. However, your "
                "prompt contains at least 257 input tokens, which exceeds this limit"
            },
            (257, 256),
        ),
        (
            400,
            {"message": "Input length (300) exceeds model's maximum context length (256)."},
            (300, 256),
        ),
        (413, {"message": "too much for the context size"}, (778, 777)),
    ],
)
def test_context_length_refusals_are_prompts_too_long(
    loop: asyncio.Runner,
    server: Server,
    status: int,
    error: dict[str, str],
    lengths: tuple[int, int],
) -> None:
    server.failures = [(status, {"error": error})]
    with pytest.raises(PromptTooLongError) as caught:
        generate(loop, config(server.url), ASK, Sampling())
    assert (caught.value.length, caught.value.limit) == lengths


def test_other_refusals_are_engine_errors_in_one_line(loop: asyncio.Runner, server: Server) -> None:
    for status, content, words in (
        (400, {"error": {"message": "top_p must be\nin (0, 1]"}}, "top_p must be in (0, 1]"),
        (404, {"detail": "Not Found"}, "404"),
        (200, "a page", "without choices"),
    ):
        server.failures = [(status, content)]
        with pytest.raises(EngineError) as caught:
            generate(loop, config(server.url), ASK, Sampling())
        assert words in str(caught.value)
        assert server.url in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_busy_server_is_asked_again(loop: asyncio.Runner, server: Server) -> None:
    server.failures = [(503, {"error": {"message": "busy"}}), (429, {"error": {"message": "busy"}})]
    generation = generate(loop, config(server.url), ASK, Sampling())
    assert generation.completions and generation.resent == 2
    assert len(server.requests) == 3


def test_a_server_that_is_slow_or_away(loop: asyncio.Runner, server: Server) -> None:
    server.pause = 0.6
    impatient = config(server.url, timeout_s=0.2, retries=2)
    with pytest.raises(EngineError, match="did not answer in time"):
        generate(loop, impatient, ASK, Sampling())
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    with pytest.raises(EngineError, match="cannot be reached"):
        loop.run(OpenAIEngine.start(config(url), "critic"))


def test_context_length_and_health_come_from_the_list_of_models(
    loop: asyncio.Runner, server: Server
) -> None:
    async def length_and_health() -> int:
        engine = await OpenAIEngine.start(config(server.url, max_model_len=100), "critic")
        await engine.check_health()
        await engine.close()
        return engine.max_model_len

    assert loop.run(length_and_health()) == 777
    server.models_status = 404  # a server without the list
    assert loop.run(length_and_health()) == 100
    server.models_status = 401
    with pytest.raises(EngineError, match="401"):
        loop.run(length_and_health())


def test_what_the_server_cannot_do_is_refused_before_it_is_asked(
    loop: asyncio.Runner, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(server.url)
    begun = Prompt(ASK.messages, prefill="It is")
    with pytest.raises(ConfigError, match="n must be 1"):
        generate(loop, settings, ASK, Sampling(n=2, temperature=0.0))
    with pytest.raises(ConfigError, match="prefill"):
        generate(loop, settings, begun, Sampling())
    with pytest.raises(ConfigError, match="adapter"):
        generate(loop, settings, ASK, Sampling(), adapter="some/dir")
    assert server.requests == []
    monkeypatch.delenv("GENPRM_TEST_KEY", raising=False)
    hosted = EngineConfig(kind="openai", openai=OpenAIConfig(api_key_env="GENPRM_TEST_KEY"))
    with pytest.raises(ConfigError, match="GENPRM_TEST_KEY is not set"):
        loop.run(OpenAIEngine.start(hosted, "critic"))


def test_prefill_and_label_probabilities_on_a_vllm_server(
    engine_on_tiny: RunningEngine,
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = engine_on_tiny.model

    async def ask() -> Any:
        async with engine_on_tiny.openai_server("critic") as url:
            return await ask_at(url)

    async def ask_at(url: str) -> Any:
        settings = config(url, extra={"prefill": True, "tokenizer": str(model)})
        engine = await OpenAIEngine.start(settings, "critic")
        assert engine.capabilities.prefill and engine.capabilities.label_probs
        assert engine.max_model_len == 256
        tokenizer = engine.tokenizer
        labels = [tokenizer.encode(f" {word}")[0] for word in ("correct", "incorrect")]
        generations = []
        for prefill in ("", "4 + 5 = 9\n", "4 + 5 = 9\nVerdict:"):
            prompt = Prompt(ASK.messages, prefill)
            sampling = Sampling(n=2, max_tokens=4, stop=("e", "a"))
            generations.append(await engine.generate(prompt, sampling, label_token_ids=labels))
        with pytest.raises(PromptTooLongError) as caught:
            await engine.generate(
                Prompt(({"role": "user", "content": "7" * 300},)), Sampling(max_tokens=1)
            )
        assert caught.value.limit == 256 < caught.value.length
        await engine.close()
        return tokenizer, labels, generations

    tokenizer, labels, generations = engine_on_tiny.run(ask())
    reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    for prefill, generation in zip(
        ("", "4 + 5 = 9\n", "4 + 5 = 9\nVerdict:"), generations, strict=True
    ):
        rendered = tokenizer.apply_chat_template(
            ASK.messages, tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer(rendered + prefill, return_tensors="pt")["input_ids"]
        assert generation.prompt_tokens == ids.shape[1]
        with torch.no_grad():
            expected = reference(ids).logits[0, -1].softmax(-1)
        for one in generation.completions:
            assert 1 <= len(one.token_ids) <= 4
            assert one.label_probs == {
                label: pytest.approx(float(expected[label]), rel=1e-3) for label in labels
            }
