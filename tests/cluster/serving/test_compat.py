"""The formats of other reward services, over a scripted critic in this process."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from cluster.serving.host import CriticHost
from cluster.serving.routes import build_routes
from genprm.client.calls import MAX_STEPS
from genprm.config.root import Config
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.generation import Prompt, Sampling
from genprm.scoring.critic import load_critic
from genprm.scoring.scorer import Scorer
from scripted_critic import critique, label_probs
from scripted_routes import CONTEXT, call

MARK = "<extra_0>"
TOO_LONG = "word " * CONTEXT


def chat(problem: str, *answer: str) -> str:
    """A conversation as ChatML renders it; without an answer the prompt for one."""
    system = "<|im_start|>system\nReason step by step.<|im_end|>\n"
    prompt = f"{system}<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n"
    return prompt + "".join(f"{text}<|im_end|>\n" for text in answer)


def post(path: str, body: Any, script: Any = critique, **config: Any) -> httpx.Response:
    engine = ScriptedEngine(
        script, label_probs=label_probs, tokenizer=ScriptedTokenizer(), max_model_len=CONTEXT
    )
    critic = load_critic(Config.model_validate({"score": {"votes": 2}, **config}))
    scorer = Scorer(engine, critic.pack, critic.config.score)
    app = build_routes(CriticHost(engine, critic, scorer))
    answer = call(app, "POST", path, json.dumps(body).encode())
    prompts = [prompt.messages[-1]["content"] for prompt, _ in engine.calls]
    answer.extensions["prompts"] = prompts
    return answer


def silent(prompt: Prompt, sampling: Sampling, index: int) -> str:
    return "I cannot tell."


# ---- /pooling and /classify


@pytest.mark.parametrize(
    "conversation",
    [
        {"input": chat("p", f"right{MARK}wrong{MARK}") + "<|endoftext|>"},
        {"input": [chat("p", f"right{MARK}wrong")]},
        {"input": chat("p", "right\nwrong")},  # no marker in it: as the splitter has it
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "p"},
                {"role": "assistant", "content": f"right {MARK}\nwrong {MARK}"},
            ]
        },
    ],
)
def test_a_generative_critic_looks_like_a_discriminative_one(conversation: dict[str, Any]) -> None:
    pooled = post("/pooling", {"model": "any", **conversation, "task": "token_classify"})
    assert pooled.status_code == 200
    answer = pooled.json()
    assert answer["object"] == "list" and answer["model"] == "scripted"
    assert answer["usage"]["total_tokens"] > answer["usage"]["prompt_tokens"] > 0
    [row] = answer["data"]
    assert row.keys() == {"index", "object", "data"}
    assert row["data"] == [pytest.approx([0.2, 0.8]), pytest.approx([0.9, 0.1])]
    assert "Problem:\np\n" in pooled.extensions["prompts"][0]  # neither markup nor system turn
    classified = post("/classify", {**conversation, "use_activation": False}).json()
    [row] = classified["data"]
    assert row["probs"] == pytest.approx([0.9, 0.1])  # of the worst step
    assert (row["label"], row["num_classes"]) == ("incorrect", 2)


def test_many_inputs_are_answered_in_order_and_every_step_has_its_row() -> None:
    texts = [chat("p", f"wrong{MARK}right{MARK}"), chat("q", f"right{MARK}")]
    answer = post("/pooling", {"input": texts}, score={"stop_at_first_error": True}).json()
    assert [row["index"] for row in answer["data"]] == [0, 1]
    assert [len(row["data"]) for row in answer["data"]] == [2, 1]
    answer = post("/classify", {"input": texts}, score={"stop_at_first_error": True}).json()
    assert [row["label"] for row in answer["data"]] == ["incorrect", "correct"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"input": "no chat at all"}, "input[0]"),
        ({"input": [chat("p", "right"), chat("p")]}, "input[1]"),
        ({"input": [chat("p", f"right{MARK} {MARK}wrong")]}, "input[0]"),
        ({"input": [chat(" ", "right")]}, "input[0]"),
        ({"input": [chat("p", f"right{MARK}" * (MAX_STEPS + 1))]}, "input[0]"),
        ({"input": [chat("p", f"right{MARK}" * MAX_STEPS)] * 9}, "body"),
        ({"input": []}, "input"),
        ({"input": [1, 2, 3]}, "input[0]"),  # token ids
        ({"input": "x", "messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "p"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ["p"]}]}, "messages[0].content"),
        ({"input": "x", "encoding_format": "base64"}, "encoding_format"),
        ({"input": "x", "task": "embed"}, "task"),
        ([], "body"),
    ],
)
@pytest.mark.parametrize("path", ["/pooling", "/classify"])
def test_what_vllm_clients_get_wrong_names_the_field(path: str, body: Any, field: str) -> None:
    answer = post(path, body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["error"].startswith(f"{field}: ")
    assert not answer.extensions["prompts"]


# ---- /get_reward


def test_a_rollout_gets_the_score_of_its_bare_response() -> None:
    prompt = chat("What is 3 * 4?")
    ends = "<|im_end|>\n<|endoftext|><|endoftext|>"
    request = {
        "query": [f"{prompt}right\nwrong{ends}", f"<s>{prompt}right{ends}", "Plain? right"],
        "prompts": [prompt, prompt, "Plain?"],
        "labels": ["12", None, "x"],
    }
    answer = post("/get_reward", request)
    assert answer.status_code == 200
    rewards = answer.json()
    assert rewards.keys() == {"rewards", "scores", "extra_logs"}
    assert rewards["rewards"] == rewards["scores"] == pytest.approx([0.1, 0.8, 0.8])
    logs = rewards["extra_logs"]
    assert logs["steps"] == [2, 1, 1] and logs["first_error"] == [1, -1, -1]
    assert logs["scored"] == [1, 1, 1] and logs["correct_share"] == pytest.approx([0.5, 1, 1])
    assert {len(values) for values in logs.values()} == {3}
    shown = "\n".join(answer.extensions["prompts"])
    assert "Problem:\nWhat is 3 * 4?\n" in shown and "Problem:\nPlain?\n" in shown
    assert "im_start" not in shown and "step by step" not in shown


def test_a_query_that_its_tokenizer_wrote_otherwise_is_taken_apart_by_the_template() -> None:
    request = {"query": [chat("p ?", "right")], "prompts": [chat("p?")], "labels": [""]}
    answer = post("/get_reward", request)
    assert answer.json()["rewards"] == pytest.approx([0.8])
    assert all("p ?" not in text for text in answer.extensions["prompts"])


def test_empty_lists_are_answered_with_empty_lists() -> None:
    answer = post("/get_reward", {"query": [], "prompts": [], "labels": []})
    assert answer.status_code == 200
    rewards = answer.json()
    assert rewards["rewards"] == rewards["scores"] == []
    assert all(values == [] for values in rewards["extra_logs"].values())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": ["a"], "prompts": [], "labels": []}, "prompts"),
        ({"query": ["a"], "prompts": [" "], "labels": []}, "prompts[0]"),
        ({"query": "a", "prompts": ["a"]}, "query"),
        ({"query": ["a"]}, "prompts"),
        ({"query": [None], "prompts": ["p"]}, "query[0]"),
    ],
)
def test_what_openrlhf_cannot_mean_names_the_field(body: Any, field: str) -> None:
    answer = post("/get_reward", body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


# ---- what is not scored


@pytest.mark.parametrize(
    ("answer", "status", "script"),
    [(f"right{MARK}{TOO_LONG}", 422, critique), ("right", 503, silent)],
)
def test_what_is_not_scored_is_an_error_and_never_zero(
    answer: str, status: int, script: Any
) -> None:
    prompt = chat("p")
    for path, body, field in (
        ("/pooling", {"input": chat("p", answer)}, "input[0]"),
        ("/classify", {"input": chat("p", answer)}, "input[0]"),
        ("/get_reward", {"query": [prompt + answer], "prompts": [prompt]}, "query[0]"),
    ):
        refused = post(path, body, script, splitter="sentences")
        assert (refused.status_code, refused.json()["field"]) == (status, field)
        assert "serve.unscored" in refused.json()["error"]


def test_a_response_without_text_is_an_error_too() -> None:
    prompt = chat("p")
    answer = post("/get_reward", {"query": [f"{prompt}<|im_end|>\n"], "prompts": [prompt]})
    assert (answer.status_code, answer.json()["field"]) == (422, "query[0]")


def test_a_placeholder_score_may_be_set_and_is_marked() -> None:
    serve = {"unscored": 0.25}
    text, prompt = f"right{MARK}{TOO_LONG}", chat("p")
    pooled = post("/pooling", {"input": chat("p", text)}, serve=serve).json()["data"][0]
    assert pooled["data"] == [pytest.approx([0.2, 0.8]), [0.75, 0.25]]
    assert pooled["unscored"] == [1]
    classified = post("/classify", {"input": chat("p", text)}, serve=serve).json()["data"][0]
    assert classified["probs"] == [0.75, 0.25] and classified["unscored"] is True
    request = {"query": [f"{prompt}{TOO_LONG}", f"{prompt}right", prompt], "prompts": [prompt] * 3}
    rewards = post("/get_reward", request, serve=serve).json()
    assert rewards["rewards"] == rewards["scores"] == pytest.approx([0.25, 0.8, 0.25])
    assert rewards["extra_logs"]["scored"] == [0, 1, 0]
    assert rewards["extra_logs"]["steps"] == [1, 1, 0]
