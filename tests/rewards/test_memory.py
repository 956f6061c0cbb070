"""One text, one reward: what is remembered, and for how long."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from genprm.errors import EngineError, InputError
from genprm.records import CriticInfo, Judgement, StepJudgement, StepStatus, Votes
from genprm.rewards import memory
from genprm.rewards.memory import JudgementMemory, memory_of
from genprm.scoring.base import ScoreItem

ITEM = ScoreItem("p", ["a"])


class NoisyScorer:
    """Every answer has another score, by a critic whose version can be set; counts the items."""

    def __init__(self) -> None:
        self.version, self.status, self.items = "one", "ok", list[ScoreItem]()
        self.alive = True
        self._noise = itertools.count()

    async def score(self, *_: Any, **__: Any) -> Judgement:
        raise NotImplementedError

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        self.items += items
        judgements = [self.judgement(item) for item in items]
        await asyncio.sleep(0)  # so that calls overlap
        if not self.alive:
            raise EngineError("the engine is dead")
        return judgements

    def judgement(self, item: ScoreItem) -> Judgement:
        score = 1 / (2 + next(self._noise)) if self.status == "ok" else None
        status: StepStatus = self.status  # type: ignore[assignment]  # of the tests below
        step = StepJudgement(
            index=0, score=score, verdict="correct", votes=Votes(correct=1), status=status
        )
        return Judgement(
            id="a",
            steps=[step],
            first_error=-1,
            solution_score=score,
            aggregate="min",
            covered=score is not None,
            usage={},
            critic=CriticInfo(
                model="m", version=self.version, pack="p", fingerprint="f", scoring="label_probs"
            ),
        )


def scores(scorer: Any, *texts: str, **options: Any) -> list[float | None]:
    """Of solutions of one step each, by one call in an event loop of its own."""
    items = [ScoreItem("p", [text], **options) for text in texts]
    judging = memory_of(scorer).judge(scorer.score_batch, items)
    return [judgement.solution_score for judgement in asyncio.run(judging)]


def test_equal_texts_have_one_score_in_a_call_and_later() -> None:
    scorer = NoisyScorer()
    first = scores(scorer, "a", "b", "a")
    assert first[0] == first[2] != first[1]
    assert scores(scorer, "b", "a") == [first[1], first[0]]
    assert len(scorer.items) == 2 and scores(scorer) == []


def test_what_makes_another_judgement_reaches_scorer_again() -> None:
    scorer = NoisyScorer()
    one = scores(scorer, "a")
    assert scores(scorer, "a", votes=4) != one
    assert scores(scorer, "a", seed=1) != one
    assert scores(NoisyScorer(), "a", "b") != scores(scorer, "a", "b")


def test_the_seed_follows_from_the_content_unless_it_is_set() -> None:
    seeds = []
    for text in "aab":
        scorer = NoisyScorer()
        scores(scorer, text)
        seeds.append(scorer.items[0].options.get("seed"))
    assert seeds[0] == seeds[1] != seeds[2] and None not in seeds
    scores(scorer, "a", seed=3)
    assert scorer.items[-1].options.get("seed") == 3


def test_texts_that_are_asked_for_at_once_have_one_score() -> None:
    scorer = NoisyScorer()

    async def all_at_once() -> list[list[Judgement]]:
        store = JudgementMemory()
        calls = [[ScoreItem("p", [text]) for text in texts] for texts in ("ab", "bc", "a", "cab")]
        return await asyncio.gather(*[store.judge(scorer.score_batch, call) for call in calls])

    of_calls = [[j.solution_score for j in each] for each in asyncio.run(all_at_once())]
    (a, b), (_, c), *_ = of_calls
    assert of_calls == [[a, b], [b, c], [a], [c, a, b]] and len({a, b, c}) == 3
    assert len(scorer.items) == 3


def test_a_caller_that_gives_up_leaves_the_judgement_to_the_others() -> None:
    scorer, store = NoisyScorer(), JudgementMemory()

    async def run() -> list[Judgement]:
        first, second = (
            asyncio.create_task(store.judge(scorer.score_batch, [ScoreItem("p", ["a"])]))
            for _ in "12"
        )
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(run())[0].solution_score is not None
    assert len(scorer.items) == 1


class Gate(NoisyScorer):
    """Answers when its gate is opened, and refuses a batch with votes=0; counts what runs."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.running = asyncio.Event(), 0

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        self.running += 1
        try:
            await self.gate.wait()
            if any(item.options.get("votes") == 0 for item in items):
                raise InputError("votes: must be at least 1")
            return await super().score_batch(items)
        finally:
            self.running -= 1


def test_what_nobody_waits_for_any_more_is_given_up() -> None:
    async def run() -> None:
        scorer, store = Gate(), JudgementMemory()

        def ask(*texts: str) -> asyncio.Task[list[Judgement]]:
            items = [ScoreItem("p", [text]) for text in texts]
            return asyncio.create_task(store.judge(scorer.score_batch, items))

        callers = [ask(str(place), "shared") for place in range(100)]
        patient = ask("7")
        for _ in range(3):
            await asyncio.sleep(0)
        assert scorer.running == 100
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        again = ask("shared")  # does not join what is ending
        for _ in range(3):
            await asyncio.sleep(0)
        assert scorer.running == 2 and len(store._requests) == 2
        scorer.gate.set()
        assert (await patient)[0].solution_score and (await again)[0].solution_score
        assert scorer.running == 0 and not store._requests

    asyncio.run(run())


def test_a_caller_does_not_get_the_failure_of_another() -> None:
    async def run() -> list[Any]:
        scorer, store = Gate(), JudgementMemory()
        good, bad, other = ITEM, ScoreItem("p", ["b"], votes=0), ScoreItem("p", ["c"])
        calls = [[good, bad], [good], [other, good], [bad], [bad, other]]
        asking = [asyncio.create_task(store.judge(scorer.score_batch, call)) for call in calls]
        await asyncio.sleep(0)
        scorer.gate.set()
        return await asyncio.gather(*asking, return_exceptions=True)

    first, second, third, fourth, fifth = asyncio.run(run())
    assert [type(each) for each in (first, fourth, fifth)] == [InputError] * 3
    assert second == third[1:] and len(third) == 2


def test_the_first_answer_does_not_part_those_who_ask_for_one_text() -> None:
    """Requests that were sent before any answer are by one critic, as far as anybody knows."""

    async def run() -> None:
        scorer, store, slow = NoisyScorer(), JudgementMemory(), Gate()
        first = asyncio.create_task(store.judge(slow.score_batch, [ITEM]))
        await asyncio.sleep(0)
        await store.judge(scorer.score_batch, [ScoreItem("p", ["quick"])])
        second = asyncio.create_task(store.judge(slow.score_batch, [ITEM]))
        await asyncio.sleep(0)
        slow.gate.set()
        assert await first == await second and len(slow.items) == 1

    asyncio.run(run())


def test_another_event_loop_does_not_wait_for_one_that_stopped() -> None:
    """It asks itself, and the first answer holds."""
    scorer, store = NoisyScorer(), JudgementMemory()
    loops = [asyncio.new_event_loop() for _ in "12"]
    tasks = [loop.create_task(store.judge(scorer.score_batch, [ITEM])) for loop in loops]
    loops[0].call_soon(loops[0].stop)
    loops[0].run_forever()  # the first task has begun
    second = loops[1].run_until_complete(tasks[1])
    assert loops[0].run_until_complete(tasks[0]) == second and len(scorer.items) == 2
    for loop in loops:
        loop.close()


def test_another_version_of_the_critic_judges_all_anew() -> None:
    scorer = NoisyScorer()
    [old] = scores(scorer, "a")
    scorer.version = "two"
    assert scores(scorer, "a") == [old]  # nobody has answered since
    new, _ = scores(scorer, "a", "b")  # the answer to b tells
    assert new != old and scores(scorer, "a") == [new]


def test_a_version_that_the_caller_knows_judges_at_once_and_late_answers_are_not_kept() -> None:
    scorer, store = NoisyScorer(), JudgementMemory()

    async def run() -> None:
        def ask() -> asyncio.Task[list[Judgement]]:
            critic = scorer.judgement(ITEM).critic
            return asyncio.create_task(store.judge(scorer.score_batch, [ITEM], critic))

        late = ask()
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # it has asked
        scorer.version = "two"
        [new] = await ask()
        assert new.critic.version == "two"
        assert await ask() == [new] != await late

    asyncio.run(run())


@pytest.mark.parametrize("status", memory.PASSING)
def test_what_failed_in_passing_is_not_remembered(status: str) -> None:
    scorer = NoisyScorer()
    scorer.status = status
    assert scores(scorer, "a") == [None]
    scorer.status = "ok"
    assert scores(scorer, "a") != [None]


def test_a_failure_is_raised_and_not_remembered() -> None:
    scorer = NoisyScorer()
    scorer.alive = False
    with pytest.raises(EngineError):
        scores(scorer, "a")
    scorer.alive = True
    assert scores(scorer, "a") != [None]


def test_it_is_bounded_by_steps_and_keeps_what_was_used_last() -> None:
    class LongScorer(NoisyScorer):
        def judgement(self, item: ScoreItem) -> Judgement:
            judgement = super().judgement(item)
            steps = [judgement.steps[0].model_copy(update={"index": i}) for i in range(3)]
            return judgement.model_copy(update={"steps": steps[: len(item.steps)]})

    scorer, store = LongScorer(), JudgementMemory(max_steps=4)

    def reaches_scorer(text: str) -> bool:
        before = len(scorer.items)
        asyncio.run(store.judge(scorer.score_batch, [ScoreItem("p", list(text))]))
        return len(scorer.items) > before

    assert [reaches_scorer(text) for text in ("ab", "c", "ab", "c", "d")] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert [reaches_scorer(text) for text in ("ab", "c", "d")] == [False] * 3
    assert reaches_scorer("efg")  # six steps: the oldest two judgements go
    assert [reaches_scorer(text) for text in ("d", "efg", "c", "d")] == [False, False, True, True]
    scorer.version = "two"
    assert reaches_scorer("hi") and reaches_scorer("d") and not reaches_scorer("hi")
    assert store._steps == sum(len(each.steps) for each in store._judgements.values()) == 3


def test_the_texts_of_critiques_are_not_asked_for() -> None:
    scorer = NoisyScorer()
    assert scores(scorer, "a") == scores(scorer, "a", return_critiques=True)
    assert [item.options.get("return_critiques") for item in scorer.items] == [False]


def test_what_is_remembered_ends_with_its_scorer() -> None:
    scorer = NoisyScorer()
    gc.collect()  # scorers of other tests
    before = len(memory._memories)
    scores(scorer, "a")
    assert len(memory._memories) == before + 1
    del scorer
    gc.collect()
    assert len(memory._memories) == before
