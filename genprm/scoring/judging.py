"""What one critique is about, by the pack's unit: how a solution's steps get their critiques.

`prefix`: each step by itself, all at once. `turns`: step after step, the critiques of each
conversation staying in it. `solution`: one text with a verdict for each step up to the first error
that it finds. Whatever the unit, a step's critiques vote, and every given step has one result.
Knows no request and no aggregation.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from genprm.config.score import ScoreConfig
from genprm.engines.base import Engine
from genprm.errors import EngineError, PromptTooLongError
from genprm.generation import Prompt
from genprm.prompts.packs import PromptPack
from genprm.prompts.render import critic_turn, critique_prompt, rendered_texts
from genprm.prompts.verdict import LabelReading, StatedVerdict, stated_verdicts
from genprm.records import Critique, StepJudgement, StepStatus, Votes
from genprm.scoring.critiques import LONG_TEXT, CritiqueSampler, Draft, Ledger
from genprm.scoring.voting import next_round, settled, vote
from genprm.util.aio import together
from genprm.util.seeds import derive_seed

T = TypeVar("T")


class Task(NamedTuple):
    """One solution to judge. `end` is the loop's time by which it must be done, `deadline_s` what
    was asked for; `tell` gets every step as it is settled, `calibrate` says what a score means."""

    problem: str
    steps: tuple[str, ...]
    votes: int
    keep: bool
    stop: bool
    early: bool
    seed: int | None
    deadline_s: float | None
    end: float | None
    tell: Callable[[StepJudgement], None]
    calibrate: Callable[[float], float | None]


class _Asked(NamedTuple):
    """A prompt, and the untrusted texts in it as it shows them."""

    prompt: Prompt
    shown: tuple[str, ...]


class _Reach:
    """How far the prefixes of one solution fit the context: what follows one that does not is
    longer still, and need not be tokenised to know that."""

    def __init__(self) -> None:
        self.end: tuple[int, PromptTooLongError] | None = None

    def check(self, place: int) -> None:
        if self.end is not None and place > self.end[0]:
            raise PromptTooLongError(self.end[1].length, self.end[1].limit)

    def ends(self, place: int, error: PromptTooLongError) -> None:
        if self.end is None or place < self.end[0]:
            self.end = (place, error)


class Judged(NamedTuple):
    """A judged solution: one result per step, what it cost, and the mean P(correct) of the whole
    where the pack asks for that."""

    steps: list[StepJudgement]
    usage: dict[str, int]
    overall: float | None = None


class _LateError(Exception):
    """The time of a task is over."""


class Unit:
    """Judges solutions with one engine and pack; `sampler` writes the critiques."""

    def __init__(
        self, engine: Engine, pack: PromptPack, config: ScoreConfig, sampler: CritiqueSampler
    ):
        self.engine, self.pack, self.config, self.sampler = engine, pack, config, sampler
        self.slots = asyncio.Semaphore(config.max_concurrency)
        self.long_texts = asyncio.Lock()

    async def judge(self, task: Task) -> Judged:
        """One result per step. Whatever goes wrong is a status; only a dead engine raises."""
        match self.pack.unit:
            case "prefix":
                return await self._prefixes(task)
            case "turns":
                return await self._turns(task)
            case "solution":
                return await self._solution(task)

    async def _prefixes(self, task: Task) -> Judged:
        ledger, reach = Ledger(), _Reach()

        async def one(place: int) -> StepJudgement:
            work = partial(self._critiques, task, place, reach, ledger)
            return (await self._step(task, place, work))[0]

        places = range(len(task.steps))
        if not task.stop:
            return Judged(await together([one(place) for place in places]), ledger.row())
        steps: list[StepJudgement] = []
        for place in places:
            steps.append(await one(place))
            if steps[-1].verdict == "incorrect":
                break
        return Judged(steps + _left_out(task, len(steps)), ledger.row())

    async def _critiques(
        self, task: Task, place: int, reach: _Reach, ledger: Ledger
    ) -> list[Critique]:
        """All critiques of one prefix: in one round, or until the vote is settled."""
        asked: _Asked | None = None

        async def some(n: int, number: Sequence[int]) -> list[Critique]:
            nonlocal asked
            if asked is None:
                asked = await self._asked(task, task.steps[: place + 1], reach=reach)
            seed = None if task.seed is None else derive_seed(task.seed, "score", place, *number)
            return await self.sampler.sample(asked.prompt, n, asked.shown, seed, ledger)

        try:
            return await self._until_settled(task, some)
        except PromptTooLongError as error:
            reach.ends(place, error)
            raise

    async def _asked(
        self,
        task: Task,
        steps: Sequence[str],
        history: Sequence[str] = (),
        reach: _Reach | None = None,
    ) -> _Asked:
        """The prompt about some steps. Long ones are made elsewhere, one after another: others'
        requests go on meanwhile."""

        def make() -> _Asked:
            tokenizer = self.engine.tokenizer
            return _Asked(
                critique_prompt(self.pack, tokenizer, task.problem, steps, history),
                rendered_texts(self.pack, tokenizer, task.problem, steps),
            )

        if sum(map(len, (task.problem, *steps, *history))) <= LONG_TEXT:
            if reach is not None:
                reach.check(len(steps) - 1)
            return make()
        async with self.long_texts:
            if reach is not None:
                reach.check(len(steps) - 1)
            return await asyncio.to_thread(make)

    async def _until_settled(
        self, task: Task, some: Callable[[int, Sequence[int]], Awaitable[list[Critique]]]
    ) -> list[Critique]:
        """The critiques of one step, in rounds until those to come change no verdict."""
        critiques: list[Critique] = []

        async def ask(n: int, number: Sequence[int]) -> None:
            critiques.extend(await some(n, number))

        def undecided(remaining: int) -> list[Votes]:
            votes = vote(critiques)[2]
            return [] if settled(votes, remaining, self.config.early_stopping.risk) else [votes]

        await self._in_rounds(task, ask, undecided)
        return critiques

    async def _in_rounds(
        self,
        task: Task,
        ask: Callable[[int, Sequence[int]], Awaitable[None]],
        undecided: Callable[[int], list[Votes]],
    ) -> None:
        """Ask for critiques until no vote can still change or all are in. A round is told its size,
        and what tells its seeds from the others'."""
        done = number = 0
        while done < task.votes:
            open_votes = undecided(task.votes - done)
            if not open_votes:
                return
            n = self._round(task, done, open_votes)
            await ask(n, [number] if number else [])
            done, number = done + n, number + 1

    def _round(self, task: Task, done: int, undecided: Sequence[Votes]) -> int:
        """How many critiques to ask for next."""
        stopping, left = self.config.early_stopping, task.votes - done
        if not task.early or self.pack.overall is not None:  # `overall` is a mean over all of them
            return left
        return max(
            next_round(votes, left, stopping.round_votes, stopping.risk) for votes in undecided
        )

    async def _turns(self, task: Task) -> Judged:
        """As many conversations as votes. A step whose vote was settled before each of them had
        written takes the critiques that there are into all of them, in turn."""
        ledger = Ledger()
        steps: list[StepJudgement] = []
        histories: list[tuple[str, ...]] = [()] * task.votes
        for place in range(len(task.steps)):
            turn = partial(self._next_turn, task, place, histories, ledger)
            step, said = await self._step(task, place, turn)
            steps.append(step)
            if task.stop and step.verdict == "incorrect":
                steps += _left_out(task, len(steps))
                break
            if step.status not in ("ok", "no_valid_critique"):
                steps += self._rest_of(task, step)
                break
            turns = [self._as_turn(place, critique) for critique in said]
            histories = [(*h, turns[k % len(turns)]) for k, h in enumerate(histories)]
        return Judged(steps, ledger.row())

    async def _next_turn(
        self, task: Task, place: int, histories: Sequence[tuple[str, ...]], ledger: Ledger
    ) -> list[Critique]:
        """The critiques of one step, conversations that are alike in one request."""
        prefix = task.steps[: place + 1]
        done: list[Critique] = []

        async def some(n: int, number: Sequence[int]) -> list[Critique]:
            first = len(done)
            groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
            for place_in_round, history in enumerate(histories[first : first + n]):
                groups[history].append(place_in_round)

            async def of_one(history: tuple[str, ...], count: int, group: int) -> list[Critique]:
                seed = task.seed
                if seed is not None:
                    seed = derive_seed(seed, "turn", place, group, *number)
                asked = await self._asked(task, prefix, history)
                return await self.sampler.sample(asked.prompt, count, asked.shown, seed, ledger)

            found = await together(
                of_one(history, len(places), group)
                for group, (history, places) in enumerate(groups.items())
            )
            of_place = {
                each: critique
                for places, critiques in zip(groups.values(), found, strict=True)
                for each, critique in zip(places, critiques, strict=True)
            }
            said = [of_place[each] for each in sorted(of_place)]  # each in its conversation
            done.extend(said)
            return said

        return await self._until_settled(task, some)

    def _as_turn(self, place: int, critique: Critique) -> str:
        valid = critique.verdict != "invalid"
        correct = critique.verdict == "correct" if valid else None
        return critic_turn(self.pack, self.engine.tokenizer, place, critique.text, correct)

    async def _solution(self, task: Task) -> Judged:
        """Critiques of all steps at once: each votes on the steps up to the first error that it
        finds, and nothing is known of what lies behind all of these."""
        ledger, overall = Ledger(), list[float]()
        per_step: list[list[Critique]] = [[] for _ in task.steps]
        if any(not step.strip() for step in task.steps):
            reason = "a step has no text, so the solution cannot be judged as one"
            return self._told(task, _all_failed(task, "empty", reason), ledger)

        async def some(asked: _Asked, n: int, number: Sequence[int]) -> None:
            seed = None if task.seed is None else derive_seed(task.seed, "solution", *number)
            drafts = await self.sampler.drafts(asked.prompt, n, seed, ledger)
            found = await together(
                self._read_solution(asked, draft, len(task.steps), ledger) for draft in drafts
            )
            for critiques, whole in found:
                for step, critique in zip(per_step, critiques, strict=False):
                    step.append(critique)
                if whole is not None:
                    overall.append(whole)

        async def all_rounds() -> None:
            asked = await self._asked(task, task.steps)
            undecided = partial(self._undecided, per_step)
            await self._in_rounds(task, partial(some, asked), undecided)

        try:
            await self._in_time(task, all_rounds)
        except PromptTooLongError as error:
            return self._told(task, _all_failed(task, "too_long", str(error)), ledger)
        except _LateError as late:
            return self._told(task, _all_failed(task, "deadline", str(late)), ledger)
        except EngineError as error:
            await self.engine.check_health()
            return self._told(task, _all_failed(task, "error", str(error)), ledger)
        steps: list[StepJudgement] = []
        for place, critiques in enumerate(per_step):
            behind = any(step.verdict == "incorrect" for step in steps)
            if behind and (task.stop or not critiques):
                steps.append(_failed(place, "not_scored"))
            else:
                steps.append(self._voted(task, place, critiques))
        mean = math.fsum(overall) / len(overall) if overall else None
        return self._told(task, steps, ledger)._replace(overall=mean)

    async def _read_solution(
        self, asked: _Asked, draft: Draft, steps: int, ledger: Ledger
    ) -> tuple[list[Critique], float | None]:
        """The critiques in one text, in the order of the steps: up to the first that says
        incorrect, or to an invalid one where the text ends early or has no verdict of the pack's.
        """
        whole = None
        if self.pack.overall is not None:  # whatever came of the steps
            whole = await self.sampler.overall(asked.prompt, draft.safe, ledger)
        stated = stated_verdicts(self.pack, draft.safe, asked.shown)
        if len(stated) > steps:  # which of them is about which step?
            return [self._part(draft, draft.safe, LabelReading("invalid", None, None))], whole
        critiques: list[Critique] = []
        done = 0
        for verdict in stated:
            reading = LabelReading(verdict.verdict, None, None)
            if self.sampler.labels is not None and verdict.verdict != "invalid":
                reading = await self._reading(asked.prompt, draft, verdict, ledger)
            critiques.append(self._part(draft, draft.safe[done : verdict.opener], reading))
            done = verdict.end
            if verdict.verdict != "correct":
                break
        cut = all(critique.verdict == "correct" for critique in critiques)
        if cut and len(critiques) < steps:
            rest = LabelReading("invalid", None, None)
            critiques.append(self._part(draft, draft.safe[done:], rest))
        return critiques, whole

    async def _reading(
        self, prompt: Prompt, draft: Draft, stated: StatedVerdict, ledger: Ledger
    ) -> LabelReading:
        """The probabilities of a written verdict; the verdict is what was written, since the text
        goes on from it."""
        assert self.sampler.labels is not None
        upto = draft.safe[: stated.opener] + self.pack.opener
        asked = await self.sampler.continued(prompt, upto)
        try:
            read = await self.sampler.read(asked, self.sampler.labels, ledger)
        except PromptTooLongError:
            return LabelReading(stated.verdict, None, None)
        return LabelReading(stated.verdict, read.p_correct, read.label_mass)

    def _part(self, draft: Draft, text: str, reading: LabelReading) -> Critique:
        """The record of one step's part of a critique; its tokens are counted anew."""
        tokenizer = self.engine.tokenizer
        known = tokenizer(text, add_special_tokens=False)["input_ids"] if tokenizer else ()
        return Critique(
            text=text.strip("\n"),
            verdict=reading.verdict,
            p_correct=reading.p_correct,
            label_mass=reading.label_mass,
            finish_reason=draft.finish_reason,
            tokens=len(known),
        )

    def _undecided(self, per_step: Sequence[Sequence[Critique]], remaining: int) -> list[Votes]:
        """The votes that more critiques may change, up to the first error as it stands; an answer
        about the whole is a mean over all of them."""
        undecided: list[Votes] = []
        for critiques in per_step:
            verdict, votes = vote(critiques)[1:]
            if self.pack.overall is not None or not settled(
                votes, remaining, self.config.early_stopping.risk
            ):
                undecided.append(votes)
            if verdict == "incorrect":
                break
        return undecided

    async def _step(
        self, task: Task, place: int, critiques: Callable[[], Awaitable[list[Critique]]]
    ) -> tuple[StepJudgement, list[Critique]]:
        """The vote on one step, told, and who voted; what goes wrong becomes the step's status."""
        said: list[Critique] = []
        if not task.steps[place].strip():
            step = _failed(place, "empty", "the step has no text")
        else:
            try:
                said = await self._in_time(task, critiques)
                step = self._voted(task, place, said)
            except _LateError as late:
                step = _failed(place, "deadline", str(late))
            except PromptTooLongError as error:
                step = _failed(place, "too_long", str(error))
            except EngineError as error:
                await self.engine.check_health()
                step = _failed(place, "error", str(error))
        task.tell(step)
        return step, said

    async def _in_time(self, task: Task, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, done in a slot; _LateError once the task's time is over. What the
        engine is still writing then is given up."""
        if task.end is None or asyncio.get_running_loop().time() < task.end:
            try:
                async with asyncio.timeout_at(task.end) as limit, self.slots:
                    return await work()
            except TimeoutError:
                if not limit.expired():
                    raise
        raise _LateError(f"not judged within {task.deadline_s:g} s")

    def _voted(self, task: Task, place: int, critiques: list[Critique]) -> StepJudgement:
        score, verdict, votes = vote(critiques)
        reason = None if verdict else f"none of {len(critiques)} critiques has a verdict"
        return StepJudgement(
            index=place,
            score=score,
            calibrated=None if score is None else task.calibrate(score),
            verdict=verdict,
            votes=votes,
            status="ok" if verdict else "no_valid_critique",
            reason=reason,
            critiques=critiques if task.keep else None,
        )

    def _rest_of(self, task: Task, failed: StepJudgement) -> list[StepJudgement]:
        """The steps behind one without critiques: their conversations have a hole."""
        reason = f"step {failed.index} before it: {failed.reason}"
        return _told_all(
            task,
            [
                failed.model_copy(update={"index": place, "reason": reason})
                for place in range(failed.index + 1, len(task.steps))
            ],
        )

    def _told(self, task: Task, steps: list[StepJudgement], ledger: Ledger) -> Judged:
        return Judged(_told_all(task, steps), ledger.row())


def _told_all(task: Task, steps: list[StepJudgement]) -> list[StepJudgement]:
    for step in steps:
        task.tell(step)
    return steps


def _left_out(task: Task, done: int) -> list[StepJudgement]:
    """The steps after the first error, where those are not asked for."""
    return _told_all(task, [_failed(i, "not_scored") for i in range(done, len(task.steps))])


def _all_failed(task: Task, status: StepStatus, reason: str) -> list[StepJudgement]:
    return [_failed(place, status, reason) for place in range(len(task.steps))]


def _failed(place: int, status: StepStatus, reason: str | None = None) -> StepJudgement:
    return StepJudgement(index=place, score=None, verdict=None, status=status, reason=reason)
