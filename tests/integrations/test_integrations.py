"""The shims, driven by calls in the form of the projects that they are for."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bpe import bpe
from cluster.serving.compat import Chats
from genprm.client.calls import MAX_STEPS
from genprm.client.http import AsyncClient
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.errors import ConfigError, InputError
from genprm.integrations import chat, openrlhf, search_and_learn, slime, verl
from genprm.integrations.judge import judge
from genprm.integrations.trl import CriticReward
from genprm.prompts.chat import FORMATS
from places import SAMPLES
from scripted_critic import critique, label_probs
from serving import scripted_scorer, scripted_service

CONTRACTS = SAMPLES / "contracts"


def contract(name: str) -> Any:
    return json.loads((CONTRACTS / f"{name}.json").read_text())


def close(expected: Any) -> Any:
    return pytest.approx(expected, abs=1e-6)


def test_what_no_scorer_takes_is_none_and_the_others_are_judged() -> None:
    solutions = ["right", " \n", "x\n" * (MAX_STEPS + 1), "word " * 500, "wrong"]
    solutions += ["half \ud83d right", "é" * 800_000]

    def judged(scorer: Any) -> list[Any]:
        return asyncio.run(judge(scorer, ["p"] * 7, solutions, "lines", {}))

    with scripted_service() as url:
        for scorer in (scripted_scorer(), AsyncClient(url)):
            good, blank, many, long, bad, half, huge = judged(scorer)
            assert blank is many is huge is None
            assert half.first_error == -1
            assert long.steps[0].status == "too_long"
            assert (good.first_error, bad.first_error) == (-1, 0)
    assert asyncio.run(judge(scripted_scorer(), [" "], ["right"], "lines", {})) == [None]
    with pytest.raises(InputError, match="unknown splitter"):
        asyncio.run(judge(scripted_scorer(), ["p"], ["right"], "words", {}))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (5, ""),
        (True, ""),
        (None, ""),
        (np.array(5), ""),
        ({"type": "text", "text": "p"}, "p"),
        ({"type": "image"}, ""),
        ([{"type": "text", "text": "p"}, {"type": "image"}, "q", 5], "p\nq"),
        (np.array([{"type": "text", "text": "p"}], dtype=object), "p"),
        ((SimpleNamespace(text="p"),), "p"),
    ],
)
def test_contents_of_messages(content: Any, text: str) -> None:
    message = {"role": "user", "content": content}
    assert chat.content_text(content) == chat.message_text(message) == text
    assert chat.problem_of([message]) == chat.problem_of(message) == text
    assert chat.solution_of([{"role": "assistant", "content": content}]) == text
    assert chat.problem_of(5) == chat.solution_of(True) == ""


# ---- trl


@pytest.mark.parametrize("recorded", contract("trl"), ids=lambda each: each["form"])
def test_trl_gets_a_reward_or_none_for_each_completion(recorded: dict[str, Any]) -> None:
    logged: dict[str, float] = {}
    arguments = {"trainer_state": None, "log_extra": None, "log_metric": logged.__setitem__}
    with scripted_service() as url:
        remote = pickle.loads(pickle.dumps(CriticReward(url, precision="exact")))
        for reward in (CriticReward(scripted_scorer(), precision="exact"), remote):
            rewards = asyncio.run(reward(**recorded["call"], **arguments))
            assert rewards == [r if r is None else close(r) for r in recorded["rewards"]]
            assert logged == close(recorded["logged"])


@pytest.mark.training
def test_trl_takes_it_for_an_async_reward() -> None:
    """The installed trainer's own method, on as little of a trainer as it needs."""
    from accelerate import PartialState
    from trl import GRPOTrainer

    PartialState()  # what a trainer's logger and its gathering over processes want
    loop = asyncio.new_event_loop()
    metrics: dict[str, list[float]] = defaultdict(list)
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu", is_main_process=True),
        args=SimpleNamespace(report_to=[]),
        async_loop=loop,
        environments=None,
        reward_funcs=[CriticReward(scripted_scorer(), name="critic", problem_column="problem")],
        reward_func_names=["critic"],
        reward_processing_classes=[None],
        state=SimpleNamespace(global_step=0),
        _log_completion_extra=None,
        _log_metric=lambda name, value: metrics[name].append(value),
    )
    inputs = [{"prompt": "Solve it.", "problem": "What is 2 + 3?"}] * 3
    threading.Thread(target=loop.run_forever, daemon=True).start()
    rewards = GRPOTrainer._calculate_rewards(
        trainer, inputs, ["Solve it."] * 3, ["right", "wrong", ""], [[1], [2], [3]]
    )
    loop.call_soon_threadsafe(loop.stop)
    assert rewards[:2, 0].tolist() == [1.0, 0.0] and rewards[2].isnan()
    assert metrics["critic/unscored"] == close([1 / 3])


def test_a_trainer_asks_once_for_each_text() -> None:
    engine = ScriptedEngine(critique, label_probs=label_probs, tokenizer=ScriptedTokenizer())
    reward = CriticReward(scripted_scorer(engine))
    call = {"prompts": ["p"] * 4, "completions": ["right", "wrong", "right", "right\n"]}
    rewards = asyncio.run(reward(**call))
    calls = len(engine.calls)
    assert [asyncio.run(reward(**call)) for _ in range(3)] == [rewards] * 3
    assert len(engine.calls) == calls


def test_trl_options_reach_the_critic_and_mistakes_are_named() -> None:
    engine = ScriptedEngine(critique, label_probs=label_probs, tokenizer=ScriptedTokenizer())
    reward = CriticReward(scripted_scorer(engine), problem_column="question", votes=3)
    asyncio.run(reward(prompts=["p"], completions=["right"], question=["What is 2 + 3?"]))
    assert {sampling.n for _, sampling in engine.calls if sampling.max_tokens > 1} == {3}
    assert "What is 2 + 3?" in engine.calls[0][0].messages[-1]["content"]
    with pytest.raises(InputError, match="no column 'question'; known: answer"):
        asyncio.run(reward(prompts=["p"], completions=["right"], answer=["5"]))
    with pytest.raises(InputError, match="unknown reward"):
        CriticReward(scripted_scorer(), reward="score")
    with pytest.raises(InputError, match="unknown precision"):
        CriticReward(scripted_scorer(), precision="fine")


def test_trl_problems_of_a_column_may_be_chats_and_blank() -> None:
    reward = CriticReward(scripted_scorer(), problem_column="p")
    columns = {"p": ["p", None, 5, [{"role": "user", "content": "p"}]]}
    rewards = asyncio.run(reward(prompts=["q"] * 4, completions=["right"] * 4, **columns))
    assert rewards == [1.0, None, None, 1.0]


# ---- openrlhf

CHATML = {"prompt_prefix": "<|im_start|>user\n", "prompt_suffix": "<|im_end|>"}


@pytest.mark.parametrize("recorded", contract("openrlhf"), ids=lambda each: each["form"])
def test_openrlhf_is_answered_in_its_shape(recorded: dict[str, Any]) -> None:
    request, answer = recorded["request"], recorded["answer"]
    with scripted_service() as url:
        for scorer, around in ((scripted_scorer(), CHATML), (url, {})):
            reward_func = openrlhf.build_reward_func(scorer, **around, precision="exact")
            response = reward_func(request["query"], request["prompts"], request["labels"])
            assert response.keys() == answer.keys()
            response["extra_logs"].pop("critique_tokens", None)
            assert response["extra_logs"] == {k: close(v) for k, v in answer["extra_logs"].items()}
            assert (response["rewards"], response["scores"]) == (close(answer["rewards"]),) * 2
            json.dumps(response, allow_nan=False)


def test_openrlhf_calls_from_many_threads() -> None:
    reward_func = openrlhf.build_reward_func(scripted_scorer(max_concurrency=2))

    def reward(place: int) -> Any:
        response = "right\nwrong" if place % 2 else "right"
        return reward_func([f"{place}?{response}"], [f"{place}?"], [""], images=None)["rewards"]

    with ThreadPoolExecutor(16) as threads:
        rewards = list(threads.map(reward, range(64)))
    assert rewards == [[1.0], [0.0]] * 32


def test_openrlhf_scores_are_clipped_and_rewards_are_not() -> None:
    answer = openrlhf.reward_answer([None], unscored=-1.0)
    assert (answer["rewards"], answer["scores"]) == ([-1.0], [0.0])


def test_openrlhf_goes_on_without_its_critic_and_stops_at_a_wrong_setting() -> None:
    gone = AsyncClient("http://127.0.0.1:9", deadline_s=0.2, attempt_s=0.1)
    answer = openrlhf.build_reward_func(gone, unscored=0.25)(["p?right"], ["p?"], [""])
    assert (answer["rewards"], answer["extra_logs"]["scored"]) == ([0.25], [0.0])
    with scripted_service() as url, pytest.raises(InputError, match="votes"):
        openrlhf.build_reward_func(url, votes=0)(["p?right"], ["p?"], [""])


@pytest.mark.parametrize(
    ("query", "prompt", "response"),
    [
        ("P?yes", "P?", "yes"),
        ("<s>P?yes</s>", "P?", "yes"),
        ("P?P? is asked.<|im_end|>\n<|endoftext|>", "P?", "P? is asked."),
        ("cut prompt? yes", "a cut prompt?", "cut prompt? yes"),
        ("yes<|im_end|> no", "", "yes<|im_end|> no"),
        ("P?<|eot_id|>", "P?", ""),
    ],
)
def test_bare_responses(query: str, prompt: str, response: str) -> None:
    assert openrlhf.bare_response(query, prompt) == response


@pytest.mark.parametrize(
    ("prompt", "prefix", "suffix", "problem"),
    [
        ("What is it?\n", "", "", "What is it?"),
        ("U: one A: two U: three A:", "U:", "A:", "three"),
        ("Q: one A: 1\nQ: two Think.", "Q:", "Think.", "two"),
        ("no markup", "U:", "A:", "no markup"),
        ("<|im_start|>user\np<|im_end|>\n", "<|im_start|>user\n", "", "p<|im_end|>"),
    ],
)
def test_problems_in_prompts(prompt: str, prefix: str, suffix: str, problem: str) -> None:
    assert openrlhf.problem_text(prompt, prefix, suffix) == problem


@pytest.mark.parametrize("marks", FORMATS, ids=lambda each: each.user)
@pytest.mark.parametrize("before", ["", "<s>system words\n", "{user}\nold{assistant}\nanswer</s>"])
def test_the_problem_of_a_prompt_in_a_wide_spread_format_is_its_last_question(
    marks: Any, before: str
) -> None:
    turns = before.format(user=marks.user, assistant=marks.assistant)
    prompt = f"{turns}{marks.user}\nWhat is 2 + 3?<|im_end|>\n{marks.assistant}\n"
    assert openrlhf.problem_text(prompt) == "What is 2 + 3?" == Chats(None).question(prompt)


def test_slime_finds_marks_in_rendered_prompts_only() -> None:
    rendered = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    words = "What does [INST] x mean?"
    for prompt in (rendered.format(words), [{"role": "user", "content": words}]):
        engine = ScriptedEngine(critique, label_probs=label_probs, tokenizer=ScriptedTokenizer())
        reward = slime.build_reward_func(scripted_scorer(engine))
        sample = SimpleNamespace(prompt=prompt, response="right", metadata={})
        assert asyncio.run(reward(None, sample)) == 1.0
        message = engine.calls[0][0].messages[-1]["content"]
        # a mark inside a problem is shown to the critic with a space in it
        assert "Problem:\nWhat does [ INST] x mean?\n" in message


# ---- verl


def test_verl_gets_a_number_and_flat_extras() -> None:
    recorded = contract("verl")["compute_score"]

    async def calls(url: str) -> list[dict[str, float]]:
        return [
            await verl.compute_score(
                **each["call"], url=url, unscored=-1.0, votes=1, precision="exact"
            )
            for each in recorded
        ]

    with scripted_service() as url:
        for _ in range(2):  # another event loop each time
            answers = asyncio.run(calls(url))
            for answer, each in zip(answers, recorded, strict=True):
                tokens = answer.pop("critique_tokens")
                assert answer == close(each["answer"]) and (tokens > 0) == (answer["steps"] > 0)
        assert [list(answer) for answer in answers] == [list(answers[0])] * 2
        with pytest.raises(InputError, match=r"no 'question', .* set row\['extra_info'\]"):
            asyncio.run(verl.compute_score("d", "right", "5", {"index": 1}, url=url))
        with pytest.raises(InputError, match="no 'task', and verl"):
            row = {"question": "p"}
            asyncio.run(verl.compute_score("d", "right", "5", row, url=url, problem_key="task"))
        with pytest.raises(TypeError, match="voted"):
            call = recorded[0]["call"]
            asyncio.run(verl.compute_score(**call, url=url, voted=1))  # type: ignore[call-arg]  # a wrong one


class ManagerBase:
    """The interface of verl's `RewardManagerBase`."""

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any):
        self.config, self.tokenizer, self.compute_score = config, tokenizer, compute_score

    @classmethod
    def assemble_rm_scores(cls, data: Any, scores: list[float]) -> torch.Tensor:
        responses = data.batch["responses"]
        ends = data.batch["attention_mask"][:, data.batch["prompts"].size(1) :].sum(dim=1)
        rewards = torch.zeros_like(responses, dtype=torch.float32)
        rewards[torch.arange(len(rewards)), ends - 1] = rewards.new_tensor(scores)
        return rewards


class Proto:
    """The interface of verl's `DataProto`: tensors and columns, one row for each response."""

    def __init__(self, responses: list[str], columns: dict[str, Any]):
        ids = [bpe()(text, add_special_tokens=False)["input_ids"] for text in responses]
        width = max(map(len, ids)) + 2
        padded = [[*row, *[0] * (width - len(row))] for row in ids]
        mask = [[0, 1, 1, *[1] * len(row), *[0] * (width - len(row))] for row in ids]
        self.batch = {
            "prompts": torch.tensor([[0, 5, 6]] * len(ids)),
            "responses": torch.tensor(padded),
            "attention_mask": torch.tensor(mask),
        }
        self.non_tensor_batch = columns

    def __len__(self) -> int:
        return len(self.batch["prompts"])

    def __getitem__(self, place: int) -> Any:
        row = {name: tensor[place] for name, tensor in self.batch.items()}
        return SimpleNamespace(batch=row, non_tensor_batch=self.non_tensor_batch)


def test_verl_gets_rewards_of_steps_at_their_last_tokens() -> None:
    recorded = contract("verl")["run_single"]
    columns = recorded["columns"]
    engine = ScriptedEngine(critique, label_probs=label_probs, tokenizer=ScriptedTokenizer())
    kind = verl.step_reward_manager(
        ManagerBase, scripted_scorer(engine), shape=list, unscored=-0.5, precision="exact"
    )
    manager = kind(config=None, tokenizer=bpe(), compute_score=None, reward_router_address=None)

    async def run() -> list[dict[str, Any]]:
        rows = [Proto([text], columns) for text in recorded["responses"]]
        return [await manager.run_single(row) for row in rows]

    results = asyncio.run(run())
    assert "What is 2 + 3?" in engine.calls[0][0].messages[-1]["content"]
    assert [float(result["reward_score"]) for result in results] == close([-0.2, 0.6, -0.5])
    infos = [result["reward_extra_info"] for result in results]
    assert [list(each) for each in infos] == [list(infos[0])] * 3
    assert infos[0]["first_error"] == 1.0 and infos[2]["scored"] == 0.0

    data = Proto(recorded["responses"], columns)
    scores = pickle.loads(pickle.dumps([result["reward_score"] for result in results]))
    assert torch.tensor(scores).tolist() == close([-0.2, 0.6, -0.5])  # where verl takes a number
    rewards = kind.assemble_rm_scores(data, scores)
    assert rewards.shape == data.batch["responses"].shape and rewards.dtype == torch.float32
    assert rewards.sum(dim=1).tolist() == close([-0.2, 0.6, -0.5])
    paid = [row.nonzero().flatten().tolist() for row in rewards]
    ids = data.batch["responses"].tolist()
    first, second, _ = recorded["responses"][0].splitlines(keepends=True)
    assert [bpe().decode(ids[0][: end + 1]) for end in paid[0]] == [first, first + second]
    assert rewards[0, paid[0]].tolist() == close([0.6, -0.8])
    assert [bpe().decode(ids[1][: end + 1]) for end in paid[1]] == ["Together 5 birds, right."]
    assert paid[2] == [0]
    # verl's own path, with a number from elsewhere
    assert kind.assemble_rm_scores(data, [1.0] * 3).sum().item() == 3.0


CHAT = [{"role": "system", "content": "s"}, {"role": "user", "content": "What is 2 + 3?"}]


@pytest.mark.parametrize(
    "columns",
    [
        {"extra_info": {"question": "What is 2 + 3?"}, "raw_prompt": []},
        {"extra_info": {"index": 7, "problem": "What is 2 + 3?"}},
        {"extra_info": {"question": None, "raw_problem": "What is 2 + 3?"}},
        {"extra_info": {"prompt": np.array(CHAT, dtype=object)}},
        {"extra_info": {"prompt": 7}, "raw_prompt": np.array(CHAT, dtype=object)},
        {"extra_info": None, "raw_prompt": [*CHAT, {"role": "assistant", "content": "Well"}]},
    ],
)
def test_verl_finds_the_problem_of_a_row(columns: dict[str, Any]) -> None:
    engine = ScriptedEngine(critique, label_probs=label_probs, tokenizer=ScriptedTokenizer())
    manager = verl.step_reward_manager(ManagerBase, scripted_scorer(engine))(None, bpe())
    assert float(asyncio.run(manager.run_single(Proto(["right"], columns)))["reward_score"]) == 1.0
    assert "What is 2 + 3?" in engine.calls[0][0].messages[-1]["content"]
    if "raw_prompt" not in columns:  # which a reward function does not get
        with scripted_service(engine) as url:
            call = verl.compute_score("d", "right", "5", columns["extra_info"], url=url)
            assert asyncio.run(call)["score"] == 1.0


def test_verl_names_what_a_row_lacks() -> None:
    manager = verl.step_reward_manager(ManagerBase, scripted_scorer())(None, bpe())
    with pytest.raises(InputError, match=r"no 'question', .*, and the row no 'raw_prompt'"):
        asyncio.run(manager.run_single(Proto(["right"], {"extra_info": None})))


@pytest.mark.parametrize("blank", ["", "  ", None, 7, [], [{"role": "system", "content": "s"}]])
def test_a_blank_problem_of_one_row_is_unscored_and_does_not_end_training(blank: Any) -> None:
    columns = {"extra_info": {"question": blank}}
    manager = verl.step_reward_manager(ManagerBase, scripted_scorer())(None, bpe())
    for raw_prompt in ({}, {"raw_prompt": blank}):
        row = Proto(["right"], columns | raw_prompt)
        answer = asyncio.run(manager.run_single(row))
        assert answer["reward_score"] == answer["reward_extra_info"]["scored"] == 0.0
    call = verl.compute_score("d", "right", "5", columns["extra_info"], url="http://127.0.0.1:9")
    assert asyncio.run(call)["scored"] == 0.0  # the service is not asked


@pytest.mark.parametrize(
    ("enable", "path", "is_refused"),
    [(True, None, True), (True, "pkg://f", False), (False, None, False), (False, "f.py", False)],
)
@pytest.mark.parametrize("form", ["mappings", "attributes", "older keys"])
def test_verl_is_refused_where_it_would_ask_its_own_model(
    enable: bool, path: str | None, is_refused: bool, form: str
) -> None:
    config: Any = {"reward_model": {"enable": enable}, "custom_reward_function": {"path": path}}
    if form != "older keys":
        config = {"reward": config}
    if form == "attributes":
        config = json.loads(json.dumps(config), object_hook=lambda each: SimpleNamespace(**each))
    kind = verl.step_reward_manager(ManagerBase, scripted_scorer())
    refusal = pytest.raises(ConfigError, match="path is not set")
    with refusal if is_refused else nullcontext():
        kind(config, bpe())


# ---- search-and-learn


@pytest.mark.parametrize("recorded", contract("search_and_learn"), ids=lambda each: each["form"])
def test_search_and_learn_gets_scores_by_question_answer_and_step(recorded: dict[str, Any]) -> None:
    config = SimpleNamespace(prm_path="no address", system_prompt="", prm_batch_size=4)
    with scripted_service() as url:
        remote = search_and_learn.PRM(SimpleNamespace(prm_path=url))
        for prm in (search_and_learn.PRM(config, scripted_scorer()), remote):
            scores = prm.score(recorded["questions"], recorded["outputs"])
            flat = [[answer for answer in answers] for answers in scores]
            assert flat == [[close(answer) for answer in answers] for answers in recorded["scores"]]
    with pytest.raises(ConfigError, match="'no address' is not the address of a service"):
        search_and_learn.PRM(config)


def test_search_and_learn_steps_without_a_score_get_a_number() -> None:
    prm = search_and_learn.PRM(None, scripted_scorer(), unscored=-1.0, stop_at_first_error=True)
    scores = prm.score(["p"], [["right\n\nwrong\n\nright", "word " * 500, ""]])
    assert scores == [[close([0.8, 0.1, -1.0]), [-1.0], [-1.0]]]


def test_search_and_learn_ranks_an_answer_by_its_worst_step_whatever_it_reduces_by() -> None:
    prm = search_and_learn.PRM(None, scripted_scorer())
    [[scores]] = prm.score(["p"], [["right\n\nwrong\n\nright"]])
    assert scores == close([0.8, 0.1, 0.1])
    plain = search_and_learn.PRM(None, scripted_scorer(), carried=False)
    assert plain.score(["p"], [["right\n\nwrong\n\nright"]]) == [[close([0.8, 0.1, 0.8])]]


def test_search_and_learn_ranks_an_answer_last_that_has_an_unjudged_step() -> None:
    def critique_or_not(prompt: Any, sampling: Any, index: int) -> str:
        step = prompt.messages[-1]["content"].split("Last step:")[1]
        return "I do not know." if "mute" in step else critique(prompt, sampling, index)

    engine = ScriptedEngine(critique_or_not, label_probs=label_probs, tokenizer=ScriptedTokenizer())
    answers = ["right\n\nmute\n\nright", "mute\n\nright", "right\n\nwrong\n\nright"]
    [scores] = search_and_learn.PRM(None, scripted_scorer(engine)).score(["p"], [answers])
    assert scores == [close([0.8, 0.0, 0.0]), close([0.0, 0.0]), close([0.8, 0.1, 0.1])]


def test_a_text_of_nothing_but_end_tokens_is_cut_in_one_go() -> None:
    assert openrlhf.bare_response("x" + "</s> " * 200_000, "") == "x"


def test_what_is_no_scorer_is_refused_when_a_shim_is_built() -> None:
    with pytest.raises(ConfigError, match="scorer: int has no `score_batch`"):
        CriticReward(42)  # type: ignore[arg-type]
