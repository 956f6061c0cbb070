"""The shims of searches and environments, by calls in their form and by their own code.

A project that is not installed has its own test skipped; pytest prints the import that failed.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from bpe import bpe
from genprm.client.http import AsyncClient
from genprm.errors import ConfigError, EngineError, InputError
from genprm.integrations import its_hub, search_and_learn, skyrl, slime, verifiers
from places import SAMPLES
from serving import scripted_scorer, scripted_service


def contract(name: str) -> Any:
    return json.loads((SAMPLES / "contracts" / f"{name}.json").read_text())


def close(expected: Any) -> Any:
    return pytest.approx(expected, abs=1e-6)


def forms(name: str) -> Any:
    return pytest.mark.parametrize("recorded", contract(name), ids=lambda each: each["form"])


def as_objects(messages: list[dict[str, Any]]) -> list[Any]:
    return [SimpleNamespace(**message) for message in messages]


# ---- its_hub


def test_its_hub_gets_a_number_for_each_partial_answer() -> None:
    recorded = contract("its_hub")["step_search"]
    prompt, answers = recorded["prompt"], recorded["answers"]
    with scripted_service() as url:
        for prm in (its_hub.CriticPRM(scripted_scorer()), its_hub.CriticPRM(url)):
            for _ in range(2):  # another event loop each time, as in its `infer`
                scores = asyncio.run(prm.ascore(prompt, answers))
                assert scores == close(recorded["scores"])
            assert prm.score(prompt, answers) == scores
            assert prm.score(prompt, answers[1]) == close(recorded["scores"][1])


def test_its_hub_gets_a_number_for_each_conversation() -> None:
    recorded = contract("its_hub")["best_of_n"]
    chats = recorded["conversations"]
    orm = its_hub.CriticORM(scripted_scorer())
    for each in (chats, [as_objects(chat) for chat in chats]):
        call = orm.ascore(each, orchestrator="its orchestrator")
        assert asyncio.run(call) == close(recorded["scores"])
        assert orm.score(each[0]) == close(recorded["scores"][0])
    wrapped = SimpleNamespace(to_chat_messages=lambda: chats[0])  # the form of its `ChatMessages`
    assert orm.score(wrapped) == close(recorded["scores"][0])


def test_its_hub_itself() -> None:
    beam = pytest.importorskip("its_hub.core.algorithms.beam_search")
    from its_hub.api.types import ChatMessages
    from its_hub.core.algorithms import bon, particle_gibbs

    texts = [["It is 6: wrong.", "It is 5, right."], ["So 6.", "So 5."]]

    class Steps:
        """The interface of its `StepGeneration`, for two steps."""

        max_steps = 2

        async def aforward(self, lm: Any, prompts: Any, so_far: Any, **_: Any) -> list[Any]:
            return [(texts[len(s)][i % 2], len(s) == 1) for i, s in enumerate(so_far)]

        def _post_process(self, steps: list[str], stopped: bool = False) -> str:
            return "\n\n".join(steps)

    prm = its_hub.CriticPRM(scripted_scorer())
    for search in (
        beam.BeamSearch(Steps(), prm, 2),
        particle_gibbs.ParticleFiltering(Steps(), prm),
        particle_gibbs.ParticleGibbs(Steps(), prm),
    ):
        best = search.infer(None, "What is 2 + 3?", 4, return_response_only=True)
        assert best["content"].startswith("It is 5")

    class Orchestrator:
        async def agenerate(self, *_: Any, **__: Any) -> list[dict[str, str]]:
            return [{"role": "assistant", "content": text} for text in texts[0]]

    orm = its_hub.CriticORM(scripted_scorer())
    search = bon.BestOfN(orm, Orchestrator())
    assert search.infer(None, "What is 2 + 3?", 2)["content"] == texts[0][1]
    turns = [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "5"}]
    assert orm.score(ChatMessages(as_objects(turns))) == close(0.8)


# ---- search-and-learn and OpenRLHF, whose calls are in test_integrations.py


def test_search_and_learn_itself() -> None:
    reason = "the module `sal` is not there: no package of search-and-learn is published"
    score = pytest.importorskip("sal.utils.score", reason=reason)
    prm = search_and_learn.PRM(None, scripted_scorer())
    [[scores]] = prm.score(["What is 2 + 3?"], [["right\n\nwrong\n\nright"]])
    assert score.aggregate_scores(scores, "last") == close(0.1)


def test_openrlhf_itself(tmp_path: Path) -> None:
    agent = pytest.importorskip("openrlhf.utils.agent")
    file = tmp_path / "reward.py"
    prompt = "<|im_start|>user\nWhat is 2 + 3?<|im_end|>\n<|im_start|>assistant\n"

    def rollout(response: str, reward_url: str) -> Any:
        """OpenRLHF's own rollout, with an engine that has its response ready."""
        ids = bpe()(f"{response}<|im_end|>", add_special_tokens=False)["input_ids"]
        output = SimpleNamespace(token_ids=ids, finish_reason="stop", logprobs=None)

        class Engine:
            async def generate(self, *_: Any, **__: Any) -> Any:
                return SimpleNamespace(outputs=[output])

        sampling = SimpleNamespace(max_tokens=64, logprobs=None)
        executor = agent.SingleTurnAgentExecutor(reward_url)
        return asyncio.run(executor.execute(prompt, "5", sampling, 512, bpe(), Engine()))

    with scripted_service() as url:
        file.write_text(
            "from genprm.integrations.openrlhf import build_reward_func\n"
            f"reward_func = build_reward_func({url!r}, prompt_prefix='<|im_start|>user\\n',\n"
            "                                prompt_suffix='<|im_end|>')\n"
        )
        for response, reward, scored in (("right", 1, 1), ("wrong", 0, 1), ("", 0, 0)):
            answer = rollout(response, str(file))
            assert (answer["reward"], answer["scores"]) == ([reward], [reward])
            assert answer["extra_logs"]["scored"] == [scored]
        for response in ("right", "wrong"):
            [reward] = rollout(response, f"{url}/get_reward")["reward"]
            assert (reward > 0.5) == (response == "right")


# ---- verl, whose calls are in test_integrations.py


class VerlWorker:
    """verl's own worker for rewards, with a configuration of its own form, and its rows."""

    def __init__(self, place: Path, *overrides: str):
        from hydra import compose, initialize_config_module
        from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

        bpe().save_pretrained(place)
        with initialize_config_module("verl.trainer.config", version_base=None):
            model = f"actor_rollout_ref.model.path={place}"
            self.worker = RewardLoopWorker(compose("ppo_trainer", overrides=[model, *overrides]))

    def rows(self, responses: list[str], extra_info: dict[str, Any]) -> Any:
        from verl import DataProto

        ids = [bpe()(text, add_special_tokens=False)["input_ids"] for text in responses]
        width = max(map(len, ids)) + 2
        padding = [width - len(row) for row in ids]
        columns = {
            "data_source": "openai/gsm8k",
            "reward_model": {"ground_truth": "5"},
            "extra_info": extra_info,
            "raw_prompt": [{"role": "user", "content": "What is 2 + 3?"}],
        }
        return DataProto.from_dict(
            tensors={
                "prompts": torch.tensor([[0, 5, 6]] * len(ids)),
                "responses": torch.tensor([r + [0] * p for r, p in zip(ids, padding, strict=True)]),
                "attention_mask": torch.tensor(
                    [[0, 1, 1] + [1] * len(r) + [0] * p for r, p in zip(ids, padding, strict=True)]
                ),
            },
            non_tensors={
                name: np.fromiter([value] * len(ids), dtype=object)
                for name, value in columns.items()
            },
        )

    def scores(self, rows: Any) -> list[dict[str, Any]]:
        outputs: list[dict[str, Any]]
        outputs = self.worker.loop.run_until_complete(self.worker.compute_score_batch(rows))
        return outputs


COMPUTE_SCORE = "reward.custom_reward_function.path=pkg://genprm.integrations.verl"


def test_verl_itself(tmp_path: Path) -> None:
    pytest.importorskip("verl.experimental.reward_loop.reward_loop")
    settings = "+reward.custom_reward_function.reward_kwargs"
    with scripted_service() as url:
        for manager in ("naive", "dapo"):
            worker = VerlWorker(
                tmp_path,
                COMPUTE_SCORE,
                f"{settings}.url={url}",
                f"{settings}.votes=3",
                f"reward.reward_manager.name={manager}",
            )
            rows = worker.rows(["right", "wrong", ""], {"question": "What is 2 + 3?"})
            outputs = worker.scores(rows)
            assert [o["reward_score"] for o in outputs] == close([2 / 3, 0, 0])
            assert [o["reward_extra_info"]["scored"] for o in outputs] == [1.0, 1.0, 0.0]
            with pytest.raises(InputError, match="no 'question'"):
                worker.scores(worker.rows(["right"], {"index": 7}))


def test_the_step_manager_in_verl_itself(tmp_path: Path) -> None:
    pytest.importorskip("verl.experimental.reward_loop.reward_loop")
    file = tmp_path / "step_rewards.py"
    importlib = [
        f"reward.reward_manager.module.path={file}",
        "reward.reward_manager.source=importlib",
        "reward.reward_manager.name=StepRewards",
    ]
    model = ["reward.reward_model.enable=True", f"reward.reward_model.model_path={tmp_path}"]
    with scripted_service() as url:
        file.write_text(
            "from genprm.integrations.verl import step_reward_manager\n"
            "from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase\n"
            f"StepRewards = step_reward_manager(RewardManagerBase, {url!r}, shape=list)\n"
        )
        for settings in (importlib, [*importlib, *model, COMPUTE_SCORE]):
            worker = VerlWorker(tmp_path, *settings)
            rows = worker.rows(["right\nwrong\nright", "right", ""], {"index": 7})
            scores = [output["reward_score"] for output in worker.scores(rows)]
            assert scores == close([0, 1, 0])  # the sum of 1 and -1
            kind = type(worker.worker.reward_manager)
            rewards = kind.assemble_rm_scores(rows, scores)
            assert rewards.shape == rows.batch["responses"].shape
            places = [row.nonzero().flatten().tolist() for row in rewards]
            ids = rows.batch["responses"].tolist()
            first, second, *_ = "right\nwrong\nright".splitlines(keepends=True)
            ends = [bpe().decode(ids[0][: place + 1]) for place in places[0]]
            assert ends == [first, first + second]
            assert rewards[0, places[0]].tolist() == [1, -1] and places[2] == []
        with pytest.raises(ConfigError, match="path is not set"):
            VerlWorker(tmp_path, *importlib, *model)


# ---- reward_hub


def test_reward_hub_reads_the_answer_of_pooling() -> None:
    recorded = contract("reward_hub")
    scores = recorded.pop("scores")
    with scripted_service() as url:
        answer = httpx.post(f"{url}/pooling", json=recorded, trust_env=False).json()
    assert [step[-1] for step in answer["data"][0]["data"]] == close(scores)


def test_reward_hub_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = pytest.importorskip("reward_hub.openai.reward")
    tokenizer = SimpleNamespace(from_pretrained=lambda name: SimpleNamespace())
    monkeypatch.setattr(reward, "AutoTokenizer", tokenizer)  # its only use is to be loaded
    recorded = contract("reward_hub")
    chat = [*recorded["messages"][1:2], {"role": "assistant", "content": "right\n\nwrong"}]
    with scripted_service() as url:
        prm = reward.OpenAIProcessRewardModel(recorded["model"], port=int(url.rpartition(":")[2]))
        assert prm.score([chat], aggregation_method="min") == close([0.1])


# ---- skyrl


class TextEnv:
    """The interface of SkyRL's `BaseTextEnv`."""

    def __init__(self) -> None:
        self.turns, self.max_turns = 0, 1


@forms("skyrl")
def test_skyrl_gets_the_output_of_one_turn(recorded: dict[str, Any]) -> None:
    with scripted_service() as url:
        for scorer in (scripted_scorer(), url):
            kind = skyrl.critic_env(TextEnv, scorer, unscored=-1.0)
            env = kind(env_config=None, extras=recorded["extras"])
            assert env.init(recorded["prompt"]) == (recorded["prompt"], {}) and env.max_turns == 1
            output = env.step(recorded["action"])
            assert (output["observations"], output["done"]) == ([], True)
            assert output["reward"] == recorded["reward"]
            assert output["metadata"]["scored"] == env.get_metrics()["scored"] == recorded["scored"]


def test_skyrl_takes_the_problem_from_a_column() -> None:
    kind = skyrl.critic_env(TextEnv, scripted_scorer(), problem_key="problem")
    for extras, scored in (({"problem": "What is 2 + 3?"}, 1.0), ({}, 0.0)):
        env = kind(None, extras)
        env.init([{"role": "user", "content": "Solve it."}])
        assert env.step("right")["metadata"]["scored"] == scored


def test_skyrl_itself() -> None:
    gym = pytest.importorskip("skyrl_gym")
    from skyrl_gym.envs import register
    from skyrl_gym.envs.base_text_env import BaseTextEnv

    kind = skyrl.critic_env(BaseTextEnv, scripted_scorer())
    register(id="genprm-critic", entry_point=kind)
    env = gym.make("genprm-critic", env_config={}, extras={})
    env.init([{"role": "user", "content": "What is 2 + 3?"}])
    assert env.step("right")["reward"] == 1.0 and env.step("")["metadata"]["scored"] == 0.0


# ---- verifiers


@forms("verifiers")
def test_verifiers_gets_a_number(recorded: dict[str, Any]) -> None:
    prompt, completion = recorded["prompt"], recorded["completion"]
    chats = [(prompt, completion)]
    if isinstance(completion, list) and isinstance(prompt, list):
        chats.append((as_objects(prompt), as_objects(completion)))
    with scripted_service() as url:
        for scorer in (scripted_scorer(), url):
            critic = verifiers.build_reward_func(scorer, unscored=-1.0, name="critic")
            for each in chats:
                state: dict[str, Any] = {}
                reward = asyncio.run(critic(prompt=each[0], completion=each[1], state=state))
                assert critic.__name__ == "critic" and reward == recorded["reward"]
                assert state["critic"]["score"] == reward
                assert state["critic"]["scored"] == (reward >= 0)


def test_verifiers_logs_why_there_is_no_reward(caplog: pytest.LogCaptureFixture) -> None:
    gone = AsyncClient("http://127.0.0.1:9", deadline_s=0.2, attempt_s=0.1)
    with pytest.raises(EngineError):
        asyncio.run(verifiers.build_reward_func(gone)(prompt="p", completion="right"))
    assert "no reward: no answer within 0.2 s" in caplog.text


def test_verifiers_gets_the_reward_of_a_task() -> None:
    metrics: dict[str, float] = {}
    chat = contract("verifiers")[0]["prompt"]
    reply = [{"role": "assistant", "content": "right"}, {"role": "assistant", "content": "wrong"}]
    critic = verifiers.build_task_reward(scripted_scorer(), name="critic")
    for prompt, messages, root, expected in (
        (chat, reply[:1], None, 1.0),
        (as_objects(chat), as_objects(reply), None, 0.0),
        ("What is 2 + 3?", reply, "right", 1.0),
    ):
        trace = SimpleNamespace(
            root_reply=root, assistant_messages=messages, record_metrics=metrics.update
        )
        assert asyncio.run(critic(task=SimpleNamespace(prompt=prompt), trace=trace)) == expected
        assert (metrics["critic/score"], metrics["critic/scored"]) == (expected, 1.0)


def test_verifiers_itself(tmp_path: Path) -> None:
    vf = pytest.importorskip("verifiers.v1")
    file = tmp_path / "my_rewards.py"
    with scripted_service() as url:
        file.write_text(
            "from genprm.integrations.verifiers import build_task_reward\n"
            f"critic = build_task_reward({url!r})\n"
        )
        config = vf.TaskConfig(rewards={"critic": {"fn": f"{file}:critic", "weight": 0.5}})
        for reply, reward in (("right", 0.5), ("wrong", 0.0), ("", 0.0), (None, 0.0)):
            task = vf.Task(vf.TaskData(prompt="What is 2 + 3?"), config)
            message = vf.AssistantMessage(content=reply)
            trace = vf.Trace(
                task=vf.TraceTask(type="Task", data=task.data),
                agent=vf.AgentInfo(config=vf.AgentConfig()),
                nodes=[vf.MessageNode(message=message, sampled=True)],
            )
            asyncio.run(task.score(trace))
            assert trace.rewards["critic"].value == reward
            assert trace.metrics["genprm/scored"] == float(bool(reply))


def test_the_rubrics_of_verifiers_itself() -> None:
    rubrics = pytest.importorskip("verifiers.legacy.rubrics.rubric")
    rubric = rubrics.Rubric(funcs=[verifiers.build_reward_func(scripted_scorer())])
    for completion, reward in (("right", 1.0), ("wrong", 0.0), ("", 0.0)):
        state = {"prompt": "What is 2 + 3?", "completion": completion, "task": "t", "answer": "5"}
        call = rubric._call_individual_reward_func(rubric.funcs[0], state)
        assert asyncio.run(call) == reward and state["genprm"]["scored"] == float(completion != "")


# ---- slime


def sample(recorded: dict[str, Any]) -> Any:
    return SimpleNamespace(**json.loads(json.dumps(recorded["sample"])))


def test_slime_gets_a_number_for_a_sample_and_a_list_for_a_group() -> None:
    recorded = contract("slime")
    rewards = [each["reward"] for each in recorded]
    with scripted_service() as url:
        for scorer in (scripted_scorer(), url):
            reward = slime.build_reward_func(
                scorer,
                unscored=-1.0,
                prompt_prefix="<|im_start|>user\n",
                prompt_suffix="<|im_end|>",
            )
            samples = [sample(each) for each in recorded]
            assert asyncio.run(reward(None, samples)) == rewards
            assert [s.metadata["genprm"]["scored"] for s in samples] == [1.0, 1.0, 0.0]
            for each, expected in zip(recorded, rewards, strict=True):
                assert asyncio.run(reward(None, sample(each), evaluation=True)) == expected


def test_slime_takes_the_problem_from_metadata() -> None:
    reward = slime.build_reward_func(scripted_scorer(), problem_key="problem", unscored=-1.0)
    for metadata, expected in (({"problem": "What is 2 + 3?"}, 1.0), (None, -1.0)):
        each = SimpleNamespace(prompt="Solve it.", response="right", metadata=metadata)
        assert asyncio.run(reward(None, each)) == expected


slime_reward = slime.build_reward_func(AsyncClient("http://127.0.0.1:9"), unscored=0.25)


def test_slime_itself() -> None:
    reason = "slime's module is not there: no package of it is published"
    hub = pytest.importorskip("slime.rollout.rm_hub", reason=reason)
    from slime.utils.types import Sample

    args = SimpleNamespace(custom_rm_path=f"{__name__}.slime_reward")
    assert asyncio.run(hub.async_rm(args, Sample(prompt="What is 2 + 3?"))) == 0.25


# ---- all


@pytest.mark.parametrize(
    "build",
    [
        its_hub.CriticPRM,
        verifiers.build_reward_func,
        verifiers.build_task_reward,
        slime.build_reward_func,
        lambda *scorer, **settings: skyrl.critic_env(TextEnv, *scorer, **settings),
    ],
)
def test_mistakes_are_named_at_once(build: Any) -> None:
    with pytest.raises(ConfigError, match="'critic:8000' is not the address of a service"):
        build("critic:8000")
    with pytest.raises(InputError, match="unknown precision"):
        build(scripted_scorer(), precision="fine")
    with pytest.raises(InputError, match="unknown reward"):
        build(scripted_scorer(), reward="best")
