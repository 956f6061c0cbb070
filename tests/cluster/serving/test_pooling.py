"""vLLM's routes over a scripted critic in this process, as its clients and reward_hub use them."""

from __future__ import annotations

import base64
import json
import struct
import threading
import tracemalloc
from typing import Any

import pytest

import genprm
from cluster.serving import compat, pooling
from cluster.serving.body import LONG_ANSWER
from cluster.serving.compat import Chats
from cluster.serving.pooling import PoolingTranslator
from genprm.client.calls import MAX_BATCH, MAX_BODY_BYTES, MAX_STEPS
from genprm.config.serve import ServeConfig
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.generation import Prompt, Sampling
from scripted_critic import critique, label_probs
from scripted_routes import CONTEXT, call, post, routes

MARK = "<extra_0>"
TOO_LONG = "word " * CONTEXT
RIGHT, WRONG = pytest.approx([0.2, 0.8]), pytest.approx([0.9, 0.1])
UNSCORED = [1.0, 0.0]


def chat(problem: str, *answer: str) -> str:
    """A conversation as ChatML renders it; without an answer the prompt for one."""
    system = "<|im_start|>system\nReason step by step.<|im_end|>\n"
    prompt = f"{system}<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n"
    return prompt + "".join(f"{text}<|im_end|>\n" for text in answer)


def turns(*contents: Any) -> dict[str, Any]:
    """Messages of a user and an assistant in turn."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]}


def row_of(body: dict[str, Any], **config: Any) -> dict[str, Any]:
    answer = post("/pooling", body, **config)
    assert answer.status_code == 200, answer.text
    [row] = answer.json()["data"]
    return dict(row)


def silent(prompt: Prompt, sampling: Sampling, index: int) -> str:
    return "I cannot tell."


CONVERSATIONS = {
    "rendered": {"input": chat("p", f"right{MARK}wrong{MARK}") + "<|endoftext|>"},
    "a list": {"input": [chat("p", f"right{MARK}wrong{MARK}")]},
    "another template": {
        "input": f"<start_of_turn>user\np<end_of_turn>\n<start_of_turn>model\n"
        f"right{MARK}\nwrong{MARK}<end_of_turn>\n"
    },
    "messages": {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "p", "name": "n"},
            {"role": "assistant", "content": f"right {MARK}\nwrong {MARK}", "tool_calls": None},
        ]
    },
    "content parts": turns(
        [{"type": "text", "text": "p"}],
        [{"type": "text", "text": f"right{MARK}"}, {"type": "text", "text": f"wrong{MARK}"}],
    ),
    "token ids": None,
    "lists of token ids": None,
}


@pytest.mark.parametrize("form", CONVERSATIONS)
def test_a_generative_critic_looks_like_a_discriminative_one(form: str) -> None:
    engine = ScriptedEngine(
        critique, label_probs=label_probs, tokenizer=ScriptedTokenizer(), max_model_len=CONTEXT
    )
    app = routes(engine)
    conversation = CONVERSATIONS[form]
    if conversation is None:
        text = chat("p", f"right{MARK}wrong{MARK}")
        ids = call(app, "POST", "/tokenize", {"prompt": text}).json()
        assert ids["count"] == len(ids["tokens"]) and ids["max_model_len"] == CONTEXT
        conversation = {"input": ids["tokens"] if form == "token ids" else [ids["tokens"]]}
    request = {"model": "scripted", **conversation, "task": "token_classify"}
    pooled = call(app, "POST", "/pooling", request)
    assert pooled.status_code == 200 and "genprm-unscored" not in pooled.headers
    answer = pooled.json()
    assert answer["object"] == "list" and answer["model"] == "scripted"
    assert answer["usage"]["total_tokens"] > answer["usage"]["prompt_tokens"] > 0
    assert answer["id"].startswith("pool-")
    [row] = answer["data"]
    assert row.keys() == {"index", "object", "data"}
    assert row["data"] == [RIGHT, WRONG]
    shown = engine.calls[0][0].messages[-1]["content"]
    assert "Problem:\np\n" in shown and "im_start" not in shown  # neither markup nor system turn
    classified = call(app, "POST", "/classify", {**conversation, "use_activation": False}).json()
    [row] = classified["data"]
    assert row["probs"] == WRONG  # of the worst step
    assert (row["label"], row["num_classes"]) == ("incorrect", 2)


def test_many_inputs_are_answered_in_order_and_every_step_has_its_row() -> None:
    texts = [chat("p", f"wrong{MARK}right{MARK}"), chat("q", f"right{MARK}")]
    config = {"score": {"stop_at_first_error": True}}
    answer = post("/pooling", {"input": texts, "carry_minimum": False}, **config).json()
    assert [row["index"] for row in answer["data"]] == [0, 1]
    assert [row["data"] for row in answer["data"]] == [[WRONG, RIGHT], [RIGHT]]
    answer = post("/classify", {"input": texts}, **config).json()
    assert [row["label"] for row in answer["data"]] == ["incorrect", "correct"]
    assert len(post("/pooling", {"input": [chat("p")] * 300}).json()["data"]) == 300


def test_a_step_has_the_lowest_score_up_to_it_unless_its_own_is_asked_for() -> None:
    """A client that takes the last score for the solution's sees the error."""
    body = turns("p", f"right{MARK}wrong{MARK}right{MARK}")
    assert row_of(body)["data"] == [RIGHT, WRONG, WRONG]
    assert row_of({**body, "carry_minimum": False})["data"] == [RIGHT, WRONG, RIGHT]


def test_rows_are_those_of_the_markers_as_in_vllm() -> None:
    for body in (
        {"input": "vLLM is great!"},
        {"input": chat("p", "right\nwrong")},  # without a marker
        {"input": chat("p")},
        {"input": "<|im_start|>user\np<|im_end|>\n"},
        turns("p"),
        turns("p", "right"),
        turns("p", None),
        turns(None, None),
        {"messages": [{"role": "user", "content": "p"}, None]},
        turns([{"type": "text", "text": "p"}]),
        {"messages": [{"role": "user", "content": "p"}, {"role": "assistant"}]},
    ):
        assert row_of(body) == {"index": 0, "object": "pooling", "data": []}
    assert row_of(turns("p", f"right{MARK}wrong"))["data"] == [RIGHT]  # its end has no marker
    assert row_of(turns("p", f"wrong{MARK}", "q", f"right{MARK}right{MARK}"))["data"] == [WRONG] * 3


@pytest.mark.parametrize(
    ("answer", "data", "empty"),
    [
        (f"right{MARK}{MARK}", [RIGHT, RIGHT], [1]),
        (f"right{MARK} \n{MARK}wrong{MARK}{MARK}", [RIGHT, RIGHT, WRONG, WRONG], [1, 3]),
        (f"{MARK}wrong{MARK}", [[0.0, 1.0], WRONG], [0]),
    ],
)
def test_an_empty_step_has_the_score_before_it(answer: str, data: Any, empty: list[int]) -> None:
    for carry in (True, False):
        row = row_of({**turns("p", answer), "carry_minimum": carry})
        assert row["data"] == data and row["empty"] == empty and "unscored" not in row


def test_a_later_turn_is_judged_after_what_was_said_before_it() -> None:
    body = turns("p", f"wrong{MARK}", "Try again.", f"right{MARK}")
    answer = post("/pooling", {**body, "carry_minimum": False})
    assert answer.json()["data"][0]["data"] == [WRONG, RIGHT]
    shown = " ".join(answer.extensions["prompts"])
    assert "Problem:\np\n\nwrong\n\nTry again.\n" in shown
    classified = post("/classify", body).json()["data"][0]
    assert classified["probs"] == RIGHT  # of the last turn


def rendered(*contents: str) -> str:
    """The conversation of `turns` as ChatML renders it."""
    roles = ("user", "assistant")
    texts = (f"<|im_start|>{roles[i % 2]}\n{c}<|im_end|>\n" for i, c in enumerate(contents))
    return "<|im_start|>system\nReason.<|im_end|>\n" + "".join(texts)


@pytest.mark.parametrize(
    "contents",
    [
        ("p", f"wrong{MARK}", "Try again.", f"right{MARK}"),
        ("p", "Hello.", "q", f"right{MARK}wrong{MARK}", "r", f"right{MARK}"),
        ("p", f"wrong{MARK}", "Thanks."),
    ],
)
def test_a_rendered_conversation_is_judged_as_its_messages(contents: tuple[str, ...]) -> None:
    for path in ("/pooling", "/classify"):
        by_text = post(path, {"input": rendered(*contents), "carry_minimum": False})
        by_messages = post(path, {**turns(*contents), "carry_minimum": False})
        assert by_text.json()["data"] == by_messages.json()["data"] != []
        assert by_text.extensions["prompts"] == by_messages.extensions["prompts"] != []
        assert "im_start" not in "".join(by_text.extensions["prompts"])


def test_the_last_row_counts_a_step_that_could_not_be_judged() -> None:
    def sometimes(prompt: Prompt, sampling: Sampling, index: int) -> str:
        last = prompt.messages[-1]["content"].split("Last step:")[1]
        return "No idea." if "odd" in last else "Verdict: correct"

    body = turns("p", f"right{MARK}odd{MARK}right{MARK}")
    config: dict[str, Any] = {"score": {"use_label_probs": False, "votes": 1}}
    [row] = post("/pooling", body, sometimes, **config).json()["data"]
    assert row["data"] == [[0.0, 1.0], UNSCORED, UNSCORED] and row["unscored"] == [1]
    own = post("/pooling", {**body, "carry_minimum": False}, sometimes, **config).json()["data"]
    assert own[0]["data"] == [[0.0, 1.0], UNSCORED, [0.0, 1.0]]


# ---- how much one request may ask for


def translator() -> PoolingTranslator:
    engine = ScriptedEngine(critique, tokenizer=ScriptedTokenizer())
    return PoolingTranslator(Chats(None), "lines", ServeConfig(), engine)


def test_turns_without_a_marker_take_no_memory() -> None:
    """Each turn that is judged holds all that was said before it."""
    contents = [f"question {i}" if i % 2 == 0 else "answer" for i in range(20_000)]
    body = json.dumps(turns(*contents, "q", f"right{MARK}")).encode()
    tracemalloc.start()
    try:
        for pooled in (True, False):
            _, conversations = translator().parse(body, pooled=pooled)
            assert len(conversations["messages"]) == 1
        assert tracemalloc.get_traced_memory()[1] < 100 * len(body)
    finally:
        tracemalloc.stop()


def test_more_turns_than_a_batch_are_refused() -> None:
    contents = ["p", f"right{MARK}"] * (MAX_BATCH + 1)
    for body in (turns(*contents), {"input": rendered(*contents)}):
        answer = post("/pooling", body)
        assert answer.status_code == 400 and not answer.extensions["prompts"]
        assert f"more answers with a marker than {MAX_BATCH}" in answer.json()["error"]["message"]
    assert post("/classify", turns(*contents[:-2])).status_code == 200


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MAX_REQUEST_STEPS", "more steps in all than 5"),
        ("MAX_PROBLEM_CHARS", "more characters before answers than 5"),
        ("MAX_ENTRIES", "at most 5"),
    ],
)
def test_more_than_one_request_may_ask_for_is_refused(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, name, 5)
    fitting = {"input": [chat("p", f"right{MARK}")] * 5}
    large = {"input": [chat("p", f"right{MARK}")] * 6}
    for path in ("/pooling", "/classify"):
        assert post(path, fitting).status_code == 200
        refused = post(path, large)
        assert refused.status_code == 400 and message in refused.json()["error"]["message"]
        assert not refused.extensions["prompts"]
    if name == "MAX_REQUEST_STEPS":  # steps without text have rows, too
        assert post("/pooling", turns("p", MARK * 6)).status_code == 400
        monkeypatch.setattr(compat, "MAX_STEPS", 3)
        assert post("/pooling", turns("p", f"a{MARK}" * 6)).status_code == 400
        monkeypatch.undo()
        monkeypatch.setattr(pooling, name, 5)
        assert post("/classify", turns("p", "right\n" * 6)).status_code == 400


def test_a_long_answer_is_built_beside_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    rows = PoolingTranslator.rows

    def traced(*args: Any) -> Any:
        threads.append(threading.current_thread())
        return rows(*args)

    monkeypatch.setattr(PoolingTranslator, "rows", traced)
    assert len(row_of(turns("p", MARK * LONG_ANSWER))["data"]) == LONG_ANSWER
    row_of(turns("p", f"right{MARK}"))
    assert [t is threading.main_thread() for t in threads] == [False, True]


# ---- encodings


def test_encodings_hold_the_same_numbers() -> None:
    texts = [chat("p", f"right{MARK}wrong{MARK}"), chat("p"), chat("q", f"right{MARK}{MARK}")]
    numbers = [[0.2, 0.8, 0.9, 0.1], [], [0.2, 0.8, 0.2, 0.8]]
    for dtype, size, code in (("float32", 4, "f"), ("float16", 2, "e")):
        for order, sign in (("native", "="), ("little", "<"), ("big", ">")):
            options = {"embed_dtype": dtype, "endianness": order}
            request = {"input": texts, "encoding_format": "base64", **options}
            rows = post("/pooling", request).json()["data"]
            for row, expected in zip(rows, numbers, strict=True):
                content = base64.b64decode(row["data"])
                unpacked = struct.unpack(f"{sign}{len(expected)}{code}", content)
                assert list(unpacked) == pytest.approx(expected, abs=1e-3)
            assert [row.get("empty") for row in rows] == [None, None, [1]]
            packed = post("/pooling", {**request, "encoding_format": "bytes"})
            assert packed.headers["content-type"] == "application/octet-stream"
            frame = json.loads(packed.headers["metadata"])
            assert frame["model"] == "scripted" and frame["usage"]["total_tokens"] > 0
            for place, row in zip(frame["data"], rows, strict=True):
                part = packed.content[place["start"] : place["end"]]
                assert part == base64.b64decode(row["data"])
                assert len(part) == place["shape"][0] * place["shape"][1] * size
                assert (place["embed_dtype"], place["endianness"]) == (dtype, order)
            bare = post("/pooling", {**request, "encoding_format": "bytes_only"})
            assert bare.content == packed.content and "metadata" not in bare.headers


# ---- what is not scored


@pytest.mark.parametrize(
    ("answer", "status", "script"),
    [
        (f"right{MARK}{TOO_LONG}{MARK}", 400, critique),
        (f"right{MARK}", 503, silent),
        (f"{MARK}\n{MARK}", 400, critique),
        (f"a{MARK}" * (MAX_STEPS + 1), 400, critique),
    ],
)
def test_what_is_not_scored_is_a_number_with_a_flag(answer: str, status: int, script: Any) -> None:
    body, marks = turns("p", answer), answer.count(MARK)
    pooled = post("/pooling", body, script)
    assert pooled.status_code == 200
    [row] = pooled.json()["data"]
    assert len(row["data"]) == marks
    assert {tuple(row["data"][place]) for place in row["unscored"]} == {tuple(UNSCORED)}
    assert pooled.headers["genprm-unscored"] == str(len(row["unscored"]))
    classified = post("/classify", body, script)
    [row] = classified.json()["data"]
    assert row["probs"] == UNSCORED and row["label"] == "incorrect" and row["unscored"] is True
    assert classified.headers["genprm-unscored"] == "1"
    for path in ("/pooling", "/classify"):
        refused = post(path, body, script, serve={"unscored": None})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (status, status, "messages")
        assert "serve.unscored" in error["message"]


@pytest.mark.parametrize(
    "body",
    [turns("p"), turns("p", None), turns(None, "right"), turns("", ""), {"messages": [None]}],
)
def test_a_conversation_without_a_solution_is_flagged_by_classify(body: dict[str, Any]) -> None:
    [row] = post("/classify", body, serve={"unscored": 0.25}).json()["data"]
    assert row["probs"] == [0.75, 0.25] and row["unscored"] is True


def test_the_number_may_be_another_and_places_are_marked() -> None:
    row = row_of(turns("p", f"right{MARK}{TOO_LONG}{MARK}"), serve={"unscored": 0.25})
    assert row["data"] == [RIGHT, [0.75, 0.25]] and row["unscored"] == [1]


# ---- errors and the rest of a server


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"input": f"no chat at all{MARK}"}, "input[0]"),
        ({"input": [chat("p", "right"), ""]}, "input[1]"),
        ({"input": []}, "input"),
        ({"input": [1, 2, 3]}, "input[0]"),  # no ids of this tokenizer
        ({"input": [[1], "a", 2.5]}, "input"),
        ({"input": [[1], [2.5]]}, "input"),
        ({"input": "x", "messages": []}, "messages"),
        ({"input": "x", "messages": [{"role": "user"}]}, "input"),
        (turns([{"type": "image_url", "image_url": {"url": "x"}}]), "messages[0].content"),
        (turns(1), "messages[0].content"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "x", "embed_dtype": "fp8_e4m3"}, "embed_dtype"),
        ({"input": "x", "task": "classify"}, "task"),
        ({"input": "x", "task": "embed"}, "task"),
        ([], "body"),
    ],
)
def test_errors_have_the_shape_that_vllm_gives_them(body: Any, field: str) -> None:
    for path in ("/pooling", "/classify"):
        if path == "/classify" and field == "task":  # no field of it there
            continue
        answer = post(path, body)
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert (error["type"], error["param"], error["code"]) == ("BadRequestError", field, 400)
        assert "\n" not in error["message"] and not answer.extensions["prompts"]


def test_every_error_of_these_routes_has_that_shape_and_no_other_has_it() -> None:
    app = routes()
    for method, path, content, status in (
        ("POST", "/pooling", b"{", 400),
        ("POST", "/pooling", b"x" * (MAX_BODY_BYTES + 1), 413),
        ("GET", "/pooling", None, 405),
        ("POST", "/tokenize", b"{}", 400),
        ("POST", "/v1/models", b"{}", 405),
    ):
        answer = call(app, method, path, content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)
    assert call(app, "POST", "/critic/pooling", b"{", root="/critic").json()["error"]["code"] == 400
    assert isinstance(call(app, "POST", "/v1/score", b"{").json()["error"], str)
    assert isinstance(call(app, "POST", "/get_reward", b"{").json()["error"], str)


def test_clients_find_the_critic_which_answers_under_any_name() -> None:
    app = routes()
    listed = call(app, "GET", "/v1/models").json()
    assert listed["object"] == "list"
    [card] = listed["data"]
    assert card["id"] == card["root"] == "scripted" and card["object"] == "model"
    assert card["max_model_len"] == CONTEXT and card["permission"] == []
    body = turns("p", f"right{MARK}")
    for name in (None, "", "scripted", "Qwen/Qwen2.5-Math-PRM-7B", "/models/verl/reward"):
        for path in ("/pooling", "/classify"):
            assert call(app, "POST", path, {"model": name, **body}).json()["model"] == "scripted"


def test_a_server_is_alive_and_has_a_version() -> None:
    app = routes()
    assert call(app, "GET", "/ping").status_code == 200
    assert call(app, "GET", "/version").json() == {"version": genprm.__version__}


def test_reward_hub_gets_a_row_for_each_piece_of_an_answer() -> None:
    """It joins `split` by the marker, renders with its model's template, and averages, or takes
    the last, least or product, of the second number."""
    for text in ("right\n\nwrong\n\nright\n\n", "\n\n\n\n", "", "right", "right\n\n\n\nright"):
        pieces = text.split("\n\n")
        joined = MARK.join(pieces) + MARK
        request = {"model": "Qwen/Qwen2.5-Math-PRM-7B", "input": [chat("p", joined)]}
        answer = post("/pooling", request)
        rows = answer.json()["data"][0]["data"]
        assert len(rows) == len(pieces)
        if "wrong" in text:
            assert rows[-1] == WRONG
        if "right" not in text:
            assert rows == [UNSCORED] * len(rows)
