"""The scorer over a scripted engine: requests it makes, votes it counts, failures it survives."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpe import bpe
from examples import examples
from genprm.config.engine import EngineConfig
from genprm.config.score import EarlyStoppingConfig, ScoreConfig
from genprm.engines import build_engine
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.errors import ConfigError, EngineError, InputError, PromptTooLongError
from genprm.generation import Prompt, Sampling
from genprm.prompts.packs import PromptPack, load_pack
from genprm.records import Critique, Judgement
from genprm.scoring.base import OPTIONS, SETTINGS, ScoreItem, StepScorer
from genprm.scoring.judging import Task
from genprm.scoring.scorer import UNITS, Scorer
from genprm.scoring.voting import until_settled

NATIVE = load_pack("native")
PROBLEM = "Compute 2 + 3 + 4."
STEPS = ["2 + 3 = 5", "5 + 4 = 8", "So the answer is 8."]
OPENER = NATIVE.opener

T = TypeVar("T")


def run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)


def last_step(prompt: Prompt) -> str:
    content = prompt.messages[-1]["content"]
    return content.split("Last step:\n")[1].removesuffix(f"\n{NATIVE.question}")


def critic(prompt: Prompt, sampling: Sampling, i: int) -> str:
    """Says what it sees, and stops at the opener."""
    return f"I read {last_step(prompt)}{OPENER} correct"


def likes(probability: float) -> Any:
    """Gives `correct` this probability, and `incorrect` the rest of 0.9."""
    return lambda prompt, ids: (0.9 * probability, 0.9 * (1 - probability))


def doubts(wrong: str) -> Any:
    return lambda prompt, ids: (0.1, 0.7) if wrong in last_step(prompt) else (0.8, 0.1)


def scorer_of(engine: ScriptedEngine, **config: Any) -> Scorer:
    return Scorer(engine, NATIVE, ScoreConfig(**config))


def judge(engine: ScriptedEngine, steps: Sequence[str] = STEPS, **config: Any) -> Judgement:
    return run(scorer_of(engine, **config).score(PROBLEM, steps))


def probabilistic(label_probs: Any, script: Any = critic, **options: Any) -> ScriptedEngine:
    return ScriptedEngine(script, label_probs=label_probs, tokenizer=ScriptedTokenizer(), **options)


def test_probabilities_are_averaged_and_the_first_error_found() -> None:
    engine = probabilistic(doubts("= 8"))
    judgement = judge(engine, votes=4, return_critiques=True)
    assert [step.verdict for step in judgement.steps] == ["correct", "incorrect", "correct"]
    assert [step.score for step in judgement.steps] == pytest.approx([8 / 9, 1 / 8, 8 / 9])
    assert judgement.first_error == 1 and judgement.covered
    assert judgement.solution_score == pytest.approx(1 / 8) and judgement.aggregate == "min"
    assert judgement.critic.scoring == "label_probs"
    assert judgement.critic.fingerprint == NATIVE.fingerprint
    (critique, *_) = judgement.steps[1].critiques or []
    assert critique.text == "I read 5 + 4 = 8" and critique.p_correct == pytest.approx(1 / 8)
    assert critique.label_mass == pytest.approx(0.8) and not critique.forced


def test_one_request_samples_all_votes_of_a_prefix() -> None:
    engine = probabilistic(likes(0.9))
    judge(engine, votes=8, max_critique_tokens=50)
    sampled = [(prompt, s) for prompt, s in engine.calls if not prompt.prefill]
    assert [(s.n, s.stop, s.max_tokens) for _, s in sampled] == [(8, (OPENER,), 50)] * 3
    assert [last_step(prompt) for prompt, _ in sampled] == STEPS
    assert "5 + 4" not in sampled[0][0].messages[-1]["content"]


def test_each_different_critique_is_asked_once_for_its_label() -> None:
    engine = probabilistic(likes(0.9), lambda p, s, i: f"Version {i % 2}.{OPENER} correct")
    judgement = judge(engine, STEPS[:1], votes=6)
    verdict_prompts = [prompt.prefill for prompt, s in engine.calls if prompt.prefill]
    assert sorted(verdict_prompts) == ["Version 0.\nVerdict:", "Version 1.\nVerdict:"]
    assert judgement.steps[0].votes.correct == 6
    assert judgement.usage["critiques"] == 6 and judgement.usage["requests"] == 3
    prompts = sum(len(prompt.token_ids) for prompt, _ in engine.calls)
    assert judgement.usage["prompt_tokens"] == prompts
    assert judgement.usage["completion_tokens"] == 6 * 7 + 2


def test_verdict_follows_the_probabilities_and_not_the_sample() -> None:
    engine = probabilistic(likes(0.2))  # every critique writes "correct"
    judgement = judge(engine, STEPS[:1], votes=3)
    assert judgement.steps[0].verdict == "incorrect"
    assert judgement.steps[0].votes.incorrect == 3


def test_a_critique_out_of_budget_is_asked_for_its_verdict() -> None:
    engine = probabilistic(likes(0.9), lambda p, s, i: "word " * 30 + OPENER + " incorrect")
    judgement = judge(engine, STEPS[:1], votes=2, max_critique_tokens=5, return_critiques=True)
    (critique, _) = judgement.steps[0].critiques or []
    assert critique.forced and critique.finish_reason == "length"
    assert critique.verdict == "correct" and critique.p_correct == pytest.approx(0.9)
    assert judgement.steps[0].status == "ok"


def test_a_critique_that_ends_without_verdict_is_invalid() -> None:
    engine = probabilistic(likes(0.9), lambda p, s, i: "Hm." if i else f"Fine.{OPENER} correct")
    judgement = judge(engine, STEPS[:1], votes=4)
    step = judgement.steps[0]
    assert (step.votes.correct, step.votes.invalid) == (1, 3)
    assert step.score == pytest.approx(0.9) and step.status == "ok"
    silent = judge(probabilistic(likes(0.9), lambda p, s, i: "Hm."), STEPS[:1], votes=4)
    assert silent.steps[0].status == "no_valid_critique"
    assert silent.steps[0].score is None and silent.steps[0].votes.invalid == 4
    assert silent.solution_score is None and not silent.covered


def test_labels_without_any_probability_are_invalid() -> None:
    judgement = judge(probabilistic(lambda p, ids: (0.0, 0.0)), STEPS[:1], votes=2)
    assert judgement.steps[0].status == "no_valid_critique"


def test_labels_next_to_no_probability_are_invalid_wherever_votes_count() -> None:
    """A critic that never learnt the pack gives both labels next to nothing: none of it votes."""

    def labels(prompt: Prompt, ids: Sequence[int]) -> tuple[float, float]:
        return (0.0003, 0.0001) if "strange" in prompt.prefill else (0.7, 0.2)

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return "strange " * 40 if i % 2 else f"Fine.{OPENER} correct"

    stopping = EarlyStoppingConfig(enabled=True)
    engine = probabilistic(labels, script)
    options: dict[str, Any] = {"votes": 8, "max_critique_tokens": 20, "return_critiques": True}
    [step] = judge(engine, STEPS[:1], **options).steps
    assert (step.votes.correct, step.votes.invalid) == (4, 4)
    assert step.score == pytest.approx(7 / 9)
    invalid = [each for each in step.critiques or [] if each.verdict == "invalid"]
    assert all(each.forced and each.label_mass == pytest.approx(0.0004) for each in invalid)
    early = judge(engine, STEPS[:1], early_stopping=stopping, **options).steps[0]
    assert early.votes.correct < 5 and early.votes.invalid  # never settled by invalid votes
    replayed = until_settled(early.critiques or [], 8, 0.0)
    assert len(replayed) == early.votes.correct + early.votes.invalid
    none = judge(probabilistic(lambda p, ids: (0.0003, 0.0001)), STEPS[:1], votes=2)
    assert none.steps[0].status == "no_valid_critique" and none.steps[0].calibrated is None
    reason = "none of 2 critiques has a verdict: both labels together have a probability of at most"
    assert none.steps[0].reason == f"{reason} 0.0004"


def test_written_verdicts_without_label_requests() -> None:
    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return f"Vote {i}.{OPENER}{' incorrect' if i < 3 else ' correct'}\nand more"

    engine = probabilistic(likes(0.9), script)
    judgement = judge(engine, STEPS[:1], votes=4, use_label_probs=False, return_critiques=True)
    assert len(engine.calls) == 1 and judgement.critic.scoring == "hard_votes"
    assert engine.calls[0][1].stop == ("\nVerdict: correct\n", "\nVerdict: incorrect\n")
    step = judgement.steps[0]
    assert (step.votes.correct, step.votes.incorrect) == (1, 3)
    assert step.score == 0.25 and step.verdict == "incorrect"
    assert all(c.p_correct is None and not c.forced for c in step.critiques or [])


def test_written_verdict_is_forced_by_the_same_request() -> None:
    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return " incorrect\n" if prompt.prefill else "word " * 30

    engine = probabilistic(None, script)
    judgement = judge(engine, STEPS[:1], votes=2, max_critique_tokens=5, return_critiques=True)
    (critique, _) = judgement.steps[0].critiques or []
    assert critique.forced and critique.verdict == "incorrect"
    assert len(engine.calls) == 2  # both critiques are the same text


def test_engine_without_prefill_writes_to_the_end() -> None:
    engine = ScriptedEngine(critic, prefill=False)
    judgement = judge(engine, votes=2)
    assert [step.verdict for step in judgement.steps] == ["correct"] * 3
    assert engine.calls[0][1].stop == () and engine.calls[0][0].token_ids == ()
    long = ScriptedEngine(lambda p, s, i: "word " * 30, prefill=False)
    cut = judge(long, STEPS[:1], votes=2, max_critique_tokens=5, return_critiques=True)
    assert cut.steps[0].votes.invalid == 2 and not (cut.steps[0].critiques or [])[0].forced


def test_a_quoted_verdict_is_not_counted_as_a_vote() -> None:
    step = "So it is 9.\nVerdict: correct"
    seen: list[str] = []

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        seen.append(last_step(prompt))
        return f"The step says:\n{last_step(prompt)}"

    judgement = judge(ScriptedEngine(script, prefill=False), [step], votes=1)
    assert judgement.steps[0].votes.invalid == 1
    assert seen == ["So it is 9.\nV erdict: correct"]


def test_every_step_has_one_result_whatever_happens() -> None:
    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        if "refuse" in last_step(prompt):
            raise EngineError("the engine refused a request")
        return critic(prompt, sampling, i)

    steps = ["fine", " \n", "refuse", "long " * 500, "fine again"]
    engine = probabilistic(likes(0.9), script, max_model_len=300)
    judgement = judge(engine, steps, votes=2)
    assert [step.index for step in judgement.steps] == [0, 1, 2, 3, 4]
    status = [step.status for step in judgement.steps]
    assert status == ["ok", "empty", "error", "too_long", "too_long"]
    assert judgement.steps[2].reason == "the engine refused a request"
    assert "tokens does not fit the context of" in (judgement.steps[3].reason or "")
    assert judgement.solution_score is None and not judgement.covered


def test_little_room_shortens_the_critique_but_keeps_the_verdict() -> None:
    engine = probabilistic(likes(0.9), lambda p, s, i: "word " * 300)
    used = len(run_prompt(engine).token_ids)
    engine.max_model_len = used + 30
    judgement = judge(engine, STEPS[:1], votes=1, return_critiques=True)
    (critique,) = judgement.steps[0].critiques or []
    assert critique.forced and 5 < critique.tokens < 30 and judgement.steps[0].status == "ok"


def test_a_critique_that_outgrows_the_context_is_invalid_and_its_siblings_are_not() -> None:
    def label_probs(prompt: Prompt, ids: Any) -> tuple[float, float]:
        if "swollen" in prompt.prefill:  # as retokenised, it no longer fits with its verdict
            raise PromptTooLongError(99, 90)
        return (0.8, 0.1)

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return f"{'swollen' if i == 0 else 'fine'}{OPENER} correct"

    judgement = judge(probabilistic(label_probs, script), STEPS[:1], votes=3)
    (step,) = judgement.steps
    assert step.status == "ok" and step.verdict == "correct"
    assert (step.votes.correct, step.votes.invalid) == (2, 1)


def run_prompt(engine: ScriptedEngine) -> Prompt:
    judge(engine, STEPS[:1], votes=1)
    return engine.calls[0][0]


def test_dead_engine_stops_the_work() -> None:
    engine = probabilistic(likes(0.9))

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        engine.alive = "5 + 4" not in last_step(prompt)
        if not engine.alive:
            raise EngineError("no answer")
        return critic(prompt, sampling, i)

    engine._script = script
    with pytest.raises(EngineError, match="is dead"):
        judge(engine, votes=2)


def test_stop_at_first_error_asks_nothing_after_it() -> None:
    engine = probabilistic(doubts("= 8"))
    judgement = judge(engine, votes=2, stop_at_first_error=True)
    assert [step.status for step in judgement.steps] == ["ok", "ok", "not_scored"]
    assert judgement.first_error == 1 and judgement.covered
    assert judgement.solution_score == pytest.approx(1 / 8)
    assert all(last_step(prompt) != STEPS[2] for prompt, _ in engine.calls)


def test_a_step_that_is_never_settled_gets_all_of_its_votes() -> None:
    """Half of the critiques of a doubted step say the one, half the other: it is never settled."""

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        doubted = "?" in last_step(prompt)
        return f"Version {i if doubted else 0}.{OPENER} correct"

    def labels(prompt: Prompt, ids: Sequence[int]) -> Sequence[float]:
        return (0.2, 0.7) if "Version 1" in prompt.prefill else (0.7, 0.2)

    stopping = EarlyStoppingConfig(enabled=True, risk=0.1)
    steps = ["2 + 3 = 5", "5 + 4 = 8?", "So it is 8?"]
    judged = judge(probabilistic(labels, script), steps, votes=8, early_stopping=stopping)
    assert [s.votes.correct + s.votes.incorrect for s in judged.steps] == [2, 8, 8]


def test_early_stop_asks_in_rounds_until_the_vote_is_settled() -> None:
    def labels(prompt: Prompt, ids: Sequence[int]) -> tuple[float, float]:
        return (0.1, 0.8) if "bad" in prompt.prefill else (0.8, 0.1)

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        doubted = i < sampling.n // 2 and "= 8" in last_step(prompt)
        return f"{'bad' if doubted else 'good'} {i}{OPENER} correct"

    sure = EarlyStoppingConfig(enabled=True)
    scorer = scorer_of(probabilistic(labels, script), votes=8, early_stopping=sure)
    judgement = run(scorer.score(PROBLEM, STEPS, seed=3))
    # no fewer than five of eight are sure; 3 to 2 and then 4 to 3 are not
    assert [s.votes.correct + s.votes.incorrect for s in judgement.steps] == [5, 8, 5]
    risk = EarlyStoppingConfig(enabled=True, risk=0.1)
    risky = scorer_of(probabilistic(labels, script), votes=8, early_stopping=risk)
    judgement = run(risky.score(PROBLEM, STEPS, seed=3))
    assert [s.votes.correct + s.votes.incorrect for s in judgement.steps] == [2, 8, 2]
    assert judgement.usage["critiques"] == 12
    engine = probabilistic(labels, script)
    run(scorer_of(engine, votes=8).score(PROBLEM, STEPS[1:2], seed=3, early_stop=True))
    rounds = {s.seed: s.n for prompt, s in engine.calls if not prompt.prefill}
    assert list(rounds.values()) == [5, 2, 1]
    assert all(abs(a - b) > 8 for a in rounds for b in rounds if a != b)  # no critique twice


@given(
    verdicts_of_all=st.lists(st.booleans(), min_size=8, max_size=8),
    size=st.integers(1, 8),
    risk=st.sampled_from([0.0, 0.03, 0.08, 0.2]),
)
@settings(max_examples=examples(60))
def test_rounds_ask_for_what_a_replay_of_all_votes_says(
    verdicts_of_all: list[bool], size: int, risk: float
) -> None:
    def critiques(**config: Any) -> Sequence[Critique]:
        verdicts = iter(verdicts_of_all)

        def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
            return f"Hm.{OPENER} {'correct' if next(verdicts) else 'incorrect'}\n"

        judgement = judge(
            ScriptedEngine(script), STEPS[:1], votes=8, return_critiques=True, **config
        )
        return judgement.steps[0].critiques or ()

    every = critiques()
    assert [critique.verdict == "correct" for critique in every] == verdicts_of_all
    replayed = until_settled(every, size, risk)
    stopping = EarlyStoppingConfig(enabled=True, round_votes=size, risk=risk)
    assert list(replayed) == critiques(early_stopping=stopping)


def test_options_are_named_once() -> None:
    """An option lives in `ScoreOptions`, the HTTP request, the config and `Task`."""
    assert all(hasattr(ScoreConfig(), name) for name in SETTINGS)
    fields = {field.name for field in dataclasses.fields(Task)}
    assert fields == {"id", "problem", "steps", *OPTIONS}
    with pytest.raises(TypeError, match="no such option of a request: vote"):
        ScoreItem(PROBLEM, STEPS, vote=2)  # type: ignore[call-arg]
    item = ScoreItem(PROBLEM, STEPS, "mine", votes=2, seed=None)
    assert pickle.loads(pickle.dumps(item)) == item
    with pytest.raises(dataclasses.FrozenInstanceError):
        item.id = "other"  # type: ignore[misc]


def test_every_unit_of_a_pack_has_a_module() -> None:
    assert list(UNITS) == list(get_args(PromptPack.model_fields["unit"].annotation))


def test_arguments_override_the_config() -> None:
    scorer: StepScorer = scorer_of(probabilistic(likes(0.8)), votes=2, return_critiques=True)
    judgement = run(
        scorer.score(
            PROBLEM, STEPS, id="mine", votes=3, aggregate="product", return_critiques=False
        )
    )
    assert judgement.id == "mine" and judgement.aggregate == "product"
    assert judgement.solution_score == pytest.approx(0.8**3)
    assert [step.votes.correct for step in judgement.steps] == [3, 3, 3]
    assert all(step.critiques is None for step in judgement.steps)


def test_id_is_the_content_where_none_is_given() -> None:
    engine = probabilistic(likes(0.8))
    one, same, other = (judge(engine, steps, votes=1) for steps in (STEPS, STEPS, STEPS[:2]))
    assert one.id == same.id != other.id


def test_seeds_repeat_a_judgement_and_differ_between_steps() -> None:
    engine = probabilistic(likes(0.8))
    scorer = scorer_of(engine, votes=2)
    for seed in (1, 1, 2, None):
        run(scorer.score(PROBLEM, STEPS, seed=seed))
    seeds = [s.seed for prompt, s in engine.calls if not prompt.prefill]
    first, again, other, none = (seeds[3 * i : 3 * i + 3] for i in range(4))
    assert first == again and len({*first, *other}) == 6 and none == [None] * 3


@pytest.mark.parametrize(
    "item,message",
    [
        (ScoreItem(PROBLEM, []), "field 'steps': expected at least one step"),
        (ScoreItem(PROBLEM, "abc"), "field 'steps': expected a list of strings"),
        (ScoreItem(PROBLEM, ["a", 3]), "field 'steps': expected a list of strings"),  # type: ignore[list-item]
        (ScoreItem(None, ["a"]), "field 'problem': expected a string"),  # type: ignore[arg-type]
        (ScoreItem(PROBLEM, ["a"], votes=0), "field 'votes': expected at least 1, got 0"),
        (ScoreItem(PROBLEM, ["a"], votes=2), "field 'votes': temperature 0 allows one vote"),
        (ScoreItem(PROBLEM, ["a"], aggregate="max"), "field 'aggregate': no such"),  # type: ignore[arg-type]
    ],
)
def test_an_invalid_solution_fails_before_any_request(item: ScoreItem, message: str) -> None:
    engine = probabilistic(likes(0.8))
    scorer = scorer_of(engine, votes=1, temperature=0)
    with pytest.raises(InputError, match=message):
        run(scorer.score_batch([ScoreItem(PROBLEM, ["fine"]), item]))
    assert engine.calls == []


def test_batch_keeps_order_and_bounds_what_is_in_flight() -> None:
    flying, most = 0, 0

    class Slow(ScriptedEngine):
        async def generate(self, prompt: Prompt, sampling: Sampling, **options: Any) -> Any:
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0.001)
            flying -= 1
            return await super().generate(prompt, sampling, **options)

    engine = Slow(critic, label_probs=likes(0.8), tokenizer=ScriptedTokenizer())
    items = [ScoreItem(PROBLEM, STEPS, id=str(i)) for i in range(5)]
    judgements = run(scorer_of(engine, votes=2, max_concurrency=3).score_batch(items))
    assert [judgement.id for judgement in judgements] == list("01234")
    assert most == 3


def test_labels_that_cannot_be_told_apart_are_refused() -> None:
    pack = NATIVE.model_copy(update={"incorrect_label": " correct-not"})
    with pytest.raises(ConfigError, match="share their first token"):
        Scorer(probabilistic(likes(0.5)), pack, ScoreConfig())


def test_scripted_engine_from_a_config() -> None:
    config = EngineConfig(kind="scripted", extra={"script": f"{__name__}:critic"})
    engine = run(build_engine(config, "a-model"))
    assert engine.name == "a-model" and engine.max_model_len == 1024
    for extra, message in [
        ({}, "engine.extra.script: engine.kind scripted needs module:function"),
        ({"script": "nowhere:f"}, "engine.extra.script: there is no function nowhere:f"),
        ({"script": "critic"}, "engine.extra.script: there is no function critic"),
    ]:
        with pytest.raises(ConfigError, match=message):
            run(build_engine(EngineConfig(kind="scripted", extra=extra), "m"))
    with pytest.raises(ConfigError, match="cannot load LoRA adapters"):
        run(build_engine(config, "m", adapter_rank=8))


CRITIQUES = st.lists(
    st.sampled_from(["Fine", ".", OPENER, " correct", " incorrect", "\n", "word " * 20]), max_size=6
).map("".join)


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4), CRITIQUES, st.booleans())
def test_judgement_is_whole_for_any_steps_and_any_critic(
    steps: list[str], critique: str, hard: bool
) -> None:
    engine = ScriptedEngine(
        lambda p, s, i: critique, label_probs=likes(0.7), tokenizer=bpe(), max_model_len=400
    )
    judgement = judge(engine, steps, votes=2, use_label_probs=not hard, max_critique_tokens=8)
    assert [step.index for step in judgement.steps] == list(range(len(steps)))
    for step in judgement.steps:
        assert (step.score is not None) == (step.status == "ok") == (step.verdict is not None)
        assert (step.reason is None) == (step.status == "ok")


class SlowEngine(ScriptedEngine):
    """Takes an hour for each step that says so, and notes what was given up."""

    def __init__(self) -> None:
        super().__init__(critic, label_probs=likes(0.9), tokenizer=ScriptedTokenizer())
        self.given_up = 0

    async def generate(self, prompt: Prompt, sampling: Sampling, **more: Any) -> Any:
        try:
            await asyncio.sleep(3600 if "slow" in last_step(prompt) else 0)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return await super().generate(prompt, sampling, **more)


@pytest.mark.parametrize("stop", [False, True])
def test_a_deadline_keeps_what_is_judged_and_gives_up_the_rest(stop: bool) -> None:
    engine = SlowEngine()
    steps = ["one", "a slow one", "three"]
    settings = {"deadline_s": 1.5, "stop_at_first_error": stop}

    async def judged() -> tuple[Judgement, int]:
        judgement = await scorer_of(engine, votes=2).score(PROBLEM, steps, **settings)
        return judgement, engine.given_up  # before the loop ends, and cancels what is left

    judgement, given_up = run(judged())
    statuses = [step.status for step in judgement.steps]
    assert statuses == ["ok", "deadline", "deadline" if stop else "ok"]
    assert judgement.steps[1].reason == "not judged within 1.5 s"
    assert judgement.steps[0].score == pytest.approx(0.9) and judgement.steps[1].score is None
    assert judgement.first_error == -1 and not judgement.covered
    assert given_up == 1
    assert judgement.usage["critiques"] == (2 if stop else 4)


def test_a_deadline_of_the_config_is_for_those_that_name_none() -> None:
    engine = SlowEngine()
    scorer = scorer_of(engine, votes=1, deadline_s=0.2)
    items = [ScoreItem(PROBLEM, ["a slow one"]), ScoreItem(PROBLEM, ["quick"])]
    late, done = run(scorer.score_batch(items))
    assert late.steps[0].status == "deadline" and done.steps[0].status == "ok"
    with pytest.raises(InputError, match="field 'deadline_s': expected more than 0"):
        run(scorer.score(PROBLEM, STEPS, deadline_s=0))


def test_an_engine_timeout_is_not_reported_as_a_deadline() -> None:
    class Broken(ScriptedEngine):
        async def generate(self, *arguments: Any, **more: Any) -> Any:
            raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        run(scorer_of(Broken(critic), deadline_s=60).score(PROBLEM, STEPS))


def test_whoever_leaves_a_stream_spares_the_engine_the_rest() -> None:
    engine = SlowEngine()

    async def first() -> tuple[Any, int]:
        scorer = scorer_of(engine, votes=1)
        events = scorer.stream(ScoreItem(PROBLEM, ["a slow one", "quick"]))
        step = await anext(events)
        await events.aclose()
        await asyncio.sleep(0.1)
        return step, engine.given_up  # before the loop ends, and cancels what is left

    step, given_up = run(first())
    assert (step.index, given_up) == (1, 1)
