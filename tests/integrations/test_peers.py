"""The shims of searches and environments, by calls in their form and by their own code."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

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
        assert asyncio.run(orm.ascore(each, "its orchestrator")) == close(recorded["scores"])
        assert orm.score(each[0]) == close(recorded["scores"][0])


def test_its_hub_itself() -> None:
    reason = "its_hub is not installed; it pins another transformers"
    beam = pytest.importorskip("its_hub.core.algorithms.beam_search", reason=reason)
    bon = pytest.importorskip("its_hub.core.algorithms.bon", reason=reason)
    gibbs = pytest.importorskip("its_hub.core.algorithms.particle_gibbs", reason=reason)
    texts = [["It is 6: wrong.", "It is 5, right."], ["So 6.", "So 5."]]

    class Steps:
        """The interface of its `StepGeneration`, for two steps."""

        max_steps = 2

        async def aforward(self, lm: Any, prompts: Any, so_far: Any, **_: Any) -> list[Any]:
            return [(texts[len(s)][i % 2], len(s) == 1) for i, s in enumerate(so_far)]

        def _post_process(self, steps: list[str], stopped: bool = False) -> str:
            return "\n\n".join(steps)

    prm = its_hub.CriticPRM(scripted_scorer())
    for search in (beam.BeamSearch(Steps(), prm, 2), gibbs.ParticleGibbs(Steps(), prm)):
        best = search.infer(None, "What is 2 + 3?", 4, return_response_only=True)
        assert best["content"].startswith("It is 5")

    class Orchestrator:
        async def agenerate(self, *_: Any, **__: Any) -> list[dict[str, str]]:
            return [{"role": "assistant", "content": text} for text in texts[0]]

    search = bon.BestOfN(its_hub.CriticORM(scripted_scorer()), Orchestrator())
    assert search.infer(None, "What is 2 + 3?", 2)["content"] == texts[0][1]


# ---- search-and-learn and OpenRLHF, whose calls are in test_integrations.py


def test_search_and_learn_itself() -> None:
    reason = "search-and-learn is not installed; no package of it exists"
    score = pytest.importorskip("sal.utils.score", reason=reason)
    prm = search_and_learn.PRM(None, scripted_scorer())
    [[scores]] = prm.score(["What is 2 + 3?"], [["right\n\nwrong\n\nright"]])
    assert score.aggregate_scores(scores, "last") == close(0.1)


def test_openrlhf_itself(tmp_path: Path) -> None:
    agent = pytest.importorskip("openrlhf.utils.agent", reason="OpenRLHF is not installed")
    file = tmp_path / "reward.py"
    with scripted_service() as url:
        file.write_text(
            "from genprm.integrations.openrlhf import build_reward_func\n"
            f"reward_func = build_reward_func({url!r})\n"
        )
        executor = agent.SingleTurnAgentExecutor(str(file))
        for response, reward, scored in (("right", 1.0, 1.0), ("<|im_end|>", 0.0, 0.0)):
            call = executor._fetch_rewards_via_func([f"p?{response}"], ["p?"], [""])
            [answer] = asyncio.run(call)
            assert (answer["rewards"], answer["extra_logs"]["scored"]) == ([reward], [scored])


# ---- reward_hub


def test_reward_hub_reads_the_answer_of_pooling() -> None:
    recorded = contract("reward_hub")
    scores = recorded.pop("scores")
    with scripted_service() as url:
        answer = httpx.post(f"{url}/pooling", json=recorded, trust_env=False).json()
    assert [step[-1] for step in answer["data"][0]["data"]] == close(scores)


def test_reward_hub_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "reward_hub is not installed; it pins another transformers"
    reward = pytest.importorskip("reward_hub.openai.reward", reason=reason)
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
    gym = pytest.importorskip("skyrl_gym", reason="skyrl-gym is not installed")
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


def test_verifiers_is_told_why_there_is_no_reward(caplog: pytest.LogCaptureFixture) -> None:
    gone = AsyncClient("http://127.0.0.1:9", deadline_s=0.2, attempt_s=0.1)
    with pytest.raises(EngineError):
        asyncio.run(verifiers.build_reward_func(gone)(prompt="p", completion="right"))
    assert "no reward: no answer within 0.2 s" in caplog.text


def test_verifiers_itself() -> None:
    vf = pytest.importorskip("verifiers", reason="verifiers is not installed")
    rubric = vf.Rubric(funcs=[verifiers.build_reward_func(scripted_scorer())])
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
    reason = "slime is not installed; no package of it exists"
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
