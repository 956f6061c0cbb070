"""Solutions to judgements: prefixes, critiques, verdicts, votes, scores, over any engine.

For each step one request (with early stopping one per round, until the vote is settled) samples
critiques of its prefix, and a short request per critique reads the probabilities of the two
verdicts behind the opener; the same request asks a critique that ran out of budget for its verdict.
A step that cannot be judged has a status and a reason, and every given step has exactly one result.
Knows no files, no HTTP and no Ray.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import asdict
from typing import NamedTuple, get_args

from genprm.calibration import calibrated
from genprm.concurrent import together
from genprm.config import ScoreConfig
from genprm.engines.base import Completion, Engine, Generation, Prompt, Sampling, Usage
from genprm.errors import EngineError, InputError, PromptTooLongError
from genprm.prompts import PromptPack, critique_prompt, rendered_texts, verdict_prompt
from genprm.records import (
    Aggregate,
    CriticInfo,
    Critique,
    Judgement,
    ScoreCalibration,
    StepJudgement,
    StepStatus,
    content_id,
)
from genprm.seeds import derive_seed
from genprm.step_scorer import ScoreItem, StepScorer
from genprm.verdict import LabelReading, parse_verdict, read_labels
from genprm.voting import covered, first_error, settled, solution_score, vote

__all__ = ["ScoreItem", "Scorer", "StepScorer"]

# Room for a written label where it is not read from probabilities: labels are a word or two.
LABEL_TOKENS = 4
# Tokenising prompt, critique and opener as one text may take a few tokens more than in parts.
RETOKENISING_SLACK = 4


class Scorer:
    """The generative critic: critiques of each prefix by `engine`, asked with `pack`.

    `adapter` is the LoRA adapter that the engine puts on, `critic_version` what judgements call
    this critic, `calibration` what its scores mean (where votes are asked for as it was fitted).
    Safe for many concurrent calls from one event loop; together they keep at most
    `config.max_concurrency` steps in flight.

    Raises:
        ConfigError: the pack's labels cannot be told apart by the engine's tokenizer.
    """

    def __init__(
        self,
        engine: Engine,
        pack: PromptPack,
        config: ScoreConfig,
        adapter: str | None = None,
        critic_version: str | None = None,
        calibration: ScoreCalibration | None = None,
    ):
        self._engine = engine
        self._pack = pack
        self._config = config
        self._adapter = adapter
        self.calibration = calibration
        self._slots = asyncio.Semaphore(config.max_concurrency)
        can = engine.capabilities
        wanted = config.use_label_probs and can.label_probs and can.prefill
        self._labels = (
            pack.check_tokenizer(engine.tokenizer)
            if wanted and engine.tokenizer is not None
            else None
        )
        self.critic = CriticInfo(
            model=engine.name,
            version=critic_version,
            pack=pack.name,
            fingerprint=pack.fingerprint,
            scoring="label_probs" if self._labels else "hard_votes",
        )

    async def score(
        self,
        problem: str,
        steps: Sequence[str],
        *,
        id: str | None = None,
        votes: int | None = None,
        aggregate: Aggregate | None = None,
        return_critiques: bool | None = None,
        stop_at_first_error: bool | None = None,
        early_stop: bool | None = None,
        seed: int | None = None,
        deadline_s: float | None = None,
    ) -> Judgement:
        """Judge one solution; see `StepScorer.score`."""
        item = ScoreItem(
            problem,
            steps,
            id,
            votes,
            aggregate,
            return_critiques,
            stop_at_first_error,
            early_stop,
            seed,
            deadline_s,
        )
        return await self._judge(self._checked(item))

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many; see `StepScorer.score_batch`."""
        requests = [self._checked(item) for item in items]
        return await together([self._judge(request) for request in requests])

    def stream(self, item: ScoreItem) -> AsyncGenerator[StepJudgement | Judgement]:
        """Judge one solution and tell each step when it is settled, in the order of that; the
        judgement comes last. Leaving the iterator gives up what is still to be judged.

        Raises:
            InputError: at once, for an item that is no solution.
        """
        return self._told(self._checked(item))

    async def _told(self, request: _Request) -> AsyncGenerator[StepJudgement | Judgement]:
        settled_steps: asyncio.Queue[StepJudgement | None] = asyncio.Queue()
        judging = asyncio.create_task(self._judge(request, settled_steps.put_nowait))
        judging.add_done_callback(lambda _: settled_steps.put_nowait(None))
        try:
            while (step := await settled_steps.get()) is not None:
                yield step
            yield await judging
        finally:
            judging.cancel()

    def _checked(self, item: ScoreItem) -> _Request:
        """The item with the scorer's own settings filled in; InputError names a broken field."""
        steps = item.steps
        if not isinstance(item.problem, str):
            raise InputError("field 'problem': expected a string")
        if isinstance(steps, str) or not all(isinstance(step, str) for step in steps):
            raise InputError("field 'steps': expected a list of strings")
        if not steps:
            raise InputError("field 'steps': expected at least one step")
        config = self._config
        votes = config.votes if item.votes is None else item.votes
        if votes < 1:
            raise InputError(f"field 'votes': expected at least 1, got {votes}")
        if votes > 1 and config.temperature == 0:
            raise InputError(f"field 'votes': temperature 0 allows one vote, got {votes}")
        how = item.aggregate or config.aggregate
        if how not in get_args(Aggregate):
            raise InputError(f"field 'aggregate': no such aggregation: {how!r}")
        deadline = config.deadline_s if item.deadline_s is None else item.deadline_s
        if deadline is not None and not deadline > 0:
            raise InputError(f"field 'deadline_s': expected more than 0, got {deadline}")
        keep, stop, early = item.return_critiques, item.stop_at_first_error, item.early_stop
        return _Request(
            id=item.id or content_id(item.problem, list(steps)),
            problem=item.problem,
            steps=tuple(steps),
            votes=votes,
            aggregate=how,
            keep=config.return_critiques if keep is None else keep,
            stop=config.stop_at_first_error if stop is None else stop,
            early=config.early_stop if early is None else early,
            seed=item.seed,
            deadline_s=deadline,
        )

    async def _judge(
        self, request: _Request, tell: Callable[[StepJudgement], None] = lambda step: None
    ) -> Judgement:
        """All steps; each is told when it is settled."""

        async def one(place: int) -> _JudgedStep:
            judged = await self._judge_in_time(request, place, end)
            tell(judged.step)
            return judged

        places = range(len(request.steps))
        deadline = request.deadline_s
        end = None if deadline is None else asyncio.get_running_loop().time() + deadline
        if request.stop:
            judged: list[_JudgedStep] = []
            for place in places:
                judged.append(await one(place))
                if judged[-1].step.verdict == "incorrect":
                    break
            left_out = [_failed(place, "not_scored") for place in places[len(judged) :]]
            for result in left_out:
                tell(result.step)
            judged += left_out
        else:
            judged = await together([one(place) for place in places])
        steps = [result.step for result in judged]
        return Judgement(
            id=request.id,
            steps=steps,
            first_error=first_error(steps),
            solution_score=solution_score(steps, request.aggregate),
            aggregate=request.aggregate,
            covered=covered(steps),
            usage=asdict(sum((result.usage for result in judged), Usage())),
            critic=self.critic,
        )

    async def _judge_in_time(self, request: _Request, place: int, end: float | None) -> _JudgedStep:
        """The vote on one step, or its status `deadline` once the loop's clock is at `end`; what
        the engine is still writing then is given up."""
        ledger = _Ledger()
        if end is None or asyncio.get_running_loop().time() < end:
            try:
                async with asyncio.timeout_at(end) as limit:
                    return await self._judge_step(request, place, ledger)
            except TimeoutError:
                if not limit.expired():
                    raise
        reason = f"not judged within {request.deadline_s:g} s"
        return _failed(place, "deadline", reason, ledger.usage)

    async def _judge_step(self, request: _Request, place: int, ledger: _Ledger) -> _JudgedStep:
        """The vote on one step; what goes wrong becomes its status, but a dead engine raises."""
        if not request.steps[place].strip():
            return _failed(place, "empty", "the step has no text")
        try:
            async with self._slots:
                critiques = await self._critiques(request, place, ledger)
        except PromptTooLongError as error:
            return _failed(place, "too_long", str(error), ledger.usage)
        except EngineError as error:
            await self._engine.check_health()
            return _failed(place, "error", str(error), ledger.usage)
        score, verdict, votes = vote(critiques)
        return _JudgedStep(
            StepJudgement(
                index=place,
                score=score,
                calibrated=self._calibrated(request, score),
                verdict=verdict,
                votes=votes,
                status="ok" if verdict else "no_valid_critique",
                reason=None if verdict else f"none of {len(critiques)} critiques has a verdict",
                critiques=critiques if request.keep else None,
            ),
            ledger.usage,
        )

    def _calibrated(self, request: _Request, score: float | None) -> float | None:
        """P(correct) behind a score; null where no calibration tells."""
        known = self.calibration
        if known is None or score is None:
            return None
        if (request.votes, request.early) != (known.votes, known.early_stop):
            return None
        return calibrated(known, score)

    async def _critiques(self, request: _Request, place: int, ledger: _Ledger) -> list[Critique]:
        """All critiques of one prefix: in one round, or until the vote is settled."""
        prefix = request.steps[: place + 1]
        prompt = critique_prompt(self._pack, self._engine.tokenizer, request.problem, prefix)
        size = self._config.round_votes if request.early else request.votes
        critiques: list[Critique] = []
        for done in range(0, request.votes, size):
            n = min(size, request.votes - done)
            number = [done // size] if done else []  # no two rounds share a seed
            seed = request.seed
            seed = None if seed is None else derive_seed(seed, "score", place, *number)
            critiques += await self._round(request.problem, prefix, prompt, n, seed, ledger)
            remaining = request.votes - len(critiques)
            if settled(vote(critiques)[2], remaining, self._config.stop_risk):
                break
        return critiques

    async def _round(
        self,
        problem: str,
        prefix: Sequence[str],
        prompt: Prompt,
        n: int,
        seed: int | None,
        ledger: _Ledger,
    ) -> list[Critique]:
        """Sample `n` critiques of one prefix in one request, and settle each one's verdict."""
        generation = await self._generate(
            prompt,
            Sampling(
                n=n,
                temperature=self._config.temperature,
                top_p=self._config.top_p,
                max_tokens=self._budget(prompt),
                stop=self._stops(),
                seed=seed,
            ),
            ledger,
        )
        ledger.usage += Usage(critiques=len(generation.completions))
        # Equal critiques have equal verdict prompts: each is read once.
        open_texts = list(dict.fromkeys(c.text for c in generation.completions if self._is_open(c)))
        readings = await together([self._ask(prompt, text, ledger) for text in open_texts])
        asked = dict(zip(open_texts, readings, strict=True))
        return [
            _critique(
                completion, asked[completion.text], forced=completion.finish_reason == "length"
            )
            if self._is_open(completion)
            else _critique(completion, self._parsed(completion, problem, prefix))
            for completion in generation.completions
        ]

    def _budget(self, prompt: Prompt) -> int:
        """Tokens for a critique, such that its verdict still fits behind it."""
        if not prompt.token_ids:  # the engine's own tokenizer counts, and refuses
            return self._config.max_critique_tokens
        opener = len(self._labels.opener_ids) if self._labels else LABEL_TOKENS
        reserve = opener + LABEL_TOKENS + RETOKENISING_SLACK
        room = self._engine.max_model_len - len(prompt.token_ids) - reserve
        if room < 1:
            raise PromptTooLongError(len(prompt.token_ids), self._engine.max_model_len - reserve)
        return min(self._config.max_critique_tokens, room)

    def _stops(self) -> tuple[str, ...]:
        """Stop at the opener if the label is read there, else behind a written verdict."""
        pack = self._pack
        if self._labels:
            return (pack.opener, *pack.stop)
        if not self._engine.capabilities.prefill:  # a server may not say which stop it met
            return pack.stop
        labels = (pack.correct_label, pack.incorrect_label)
        return (*(f"{pack.opener}{label}\n" for label in labels), *pack.stop)

    def _is_open(self, completion: Completion) -> bool:
        """Whether the verdict is still to be asked for: at the opener, or out of budget."""
        if completion.finish_reason == "length":
            return self._engine.capabilities.prefill
        return self._labels is not None and completion.stop_reason == self._pack.opener

    async def _ask(self, prompt: Prompt, critique_text: str, ledger: _Ledger) -> LabelReading:
        """Ask for the verdict behind `critique_text` and the opener.

        A critique may tokenise into more than it was sampled as: one whose verdict then does not
        fit the context any more is invalid, and its siblings and the step are not.
        """
        try:
            return await self._read_verdict(prompt, critique_text, ledger)
        except PromptTooLongError:
            return LabelReading("invalid", None, None)

    async def _read_verdict(
        self, prompt: Prompt, critique_text: str, ledger: _Ledger
    ) -> LabelReading:
        pack = self._pack
        asked = verdict_prompt(pack, self._engine.tokenizer, prompt, critique_text)
        if self._labels is None:
            sampling = Sampling(temperature=0.0, max_tokens=LABEL_TOKENS, stop=("\n",))
            generation = await self._generate(asked, sampling, ledger)
            written = pack.opener + generation.completions[0].text
            return LabelReading(parse_verdict(pack, written), None, None)
        ids = (self._labels.correct_id, self._labels.incorrect_id)
        sampling = Sampling(temperature=0.0, max_tokens=1)
        generation = await self._generate(asked, sampling, ledger, ids)
        return read_labels(self._labels, generation.completions[0].label_probs or {})

    def _parsed(self, completion: Completion, problem: str, prefix: Sequence[str]) -> LabelReading:
        """The verdict that a finished critique states itself; an unfinished one states none."""
        if completion.finish_reason != "stop":
            return LabelReading("invalid", None, None)
        shown = rendered_texts(self._pack, self._engine.tokenizer, problem, prefix)
        text = completion.text + (completion.stop_reason or "")
        return LabelReading(parse_verdict(self._pack, text, shown), None, None)

    async def _generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        ledger: _Ledger,
        label_token_ids: Sequence[int] = (),
    ) -> Generation:
        generation = await self._engine.generate(
            prompt, sampling, label_token_ids=label_token_ids, adapter=self._adapter
        )
        ledger.usage += Usage(
            prompt_tokens=generation.prompt_tokens,
            cached_tokens=generation.cached_tokens,
            completion_tokens=sum(len(c.token_ids) for c in generation.completions),
            requests=1,
        )
        return generation


class _Request(NamedTuple):
    """A checked `ScoreItem` with every setting filled in."""

    id: str
    problem: str
    steps: tuple[str, ...]
    votes: int
    aggregate: Aggregate
    keep: bool
    stop: bool
    early: bool
    seed: int | None
    deadline_s: float | None


class _JudgedStep(NamedTuple):
    step: StepJudgement
    usage: Usage


class _Ledger:
    """What one step has cost so far, also when it fails halfway."""

    def __init__(self) -> None:
        self.usage = Usage()


def _failed(
    place: int, status: StepStatus, reason: str | None = None, usage: Usage | None = None
) -> _JudgedStep:
    step = StepJudgement(index=place, score=None, verdict=None, status=status, reason=reason)
    return _JudgedStep(step, usage or Usage())


def _critique(completion: Completion, reading: LabelReading, forced: bool = False) -> Critique:
    return Critique(
        text=completion.text,
        verdict=reading.verdict,
        p_correct=reading.p_correct,
        label_mass=reading.label_mass,
        finish_reason=completion.finish_reason,
        tokens=len(completion.token_ids),
        forced=forced,
    )
