"""A discriminative step scorer: one pass of the model over a solution, one value at each step.

    problem, then every step followed by a marker token  ->  P(correct) at each marker

How problem and steps are laid out is data (`HeadFormat`), so that one scorer serves every head
whose scores are read at markers: of genprm's own training and of published models. Knows no votes,
no prompt pack and no files.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Unpack, get_args

from genprm.config.score import ScoreConfig
from genprm.engines.base import PoolingEngine
from genprm.errors import ConfigError, EngineError, InputError, PromptTooLongError
from genprm.generation import Message, Pooling, Prompt
from genprm.prompts.untrusted import added_literals, neutralise
from genprm.records import (
    Aggregate,
    CriticInfo,
    Judgement,
    StepJudgement,
    StepStatus,
    Votes,
    content_id,
)
from genprm.scoring.base import ScoreItem, ScoreOptions
from genprm.scoring.voting import covered, first_error, solution_score
from genprm.util.aio import together


@dataclass(frozen=True, slots=True)
class HeadFormat:
    """How a model with a head wants a solution, and where its values stand.

    name: what judgements call this format.
    marker: one token of the model's vocabulary, written after every step.
    good_label: which of the head's labels means that the step is correct. A head with a single
        label is read as the logit of that.
    chat: problem and steps as a chat in the tokenizer's template, else as plain text with
        `after_problem` between the two.
    system: the system message of the chat; none if empty.
    between_steps: text between a marker and the next step.
    """

    name: str
    marker: str
    good_label: int = 1
    chat: bool = True
    system: str = ""
    after_problem: str = "\n"
    between_steps: str = ""

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything but the name."""
        return content_id({key: value for key, value in asdict(self).items() if key != "name"})


class HeadScorer:
    """A `StepScorer` over a pooling engine: one request per solution, so one vote per step.

    Seeds and early stopping change nothing, since nothing is sampled. `version` is what judgements
    call this model. At most `config.max_concurrency` solutions are in flight.

    Raises:
        ConfigError: an engine that does not pool, or a marker that is not one token.
    """

    def __init__(
        self,
        engine: PoolingEngine,
        format: HeadFormat,
        config: ScoreConfig,
        version: str | None = None,
    ):
        if not engine.capabilities.pooling:
            raise ConfigError(f"{engine.name}: the engine cannot read a model's head")
        marker = engine.tokenizer(format.marker, add_special_tokens=False)["input_ids"]
        if len(marker) != 1:
            raise ConfigError(
                f"{engine.name}: the marker {format.marker!r} is {len(marker)} tokens, not one"
            )
        self.critic = CriticInfo(
            model=engine.name,
            version=version,
            pack=format.name,
            fingerprint=format.fingerprint,
            scoring="head",
        )
        self._engine, self._format, self._config = engine, format, config
        self._marker: int = marker[0]
        self._slots = asyncio.Semaphore(config.max_concurrency)

    async def score(
        self,
        problem: str,
        steps: Sequence[str],
        *,
        id: str | None = None,
        **options: Unpack[ScoreOptions],
    ) -> Judgement:
        """Judge one solution; see `StepScorer.score`. More than one vote is an InputError."""
        [judgement] = await self.score_batch([ScoreItem(problem, steps, id, **options)])
        return judgement

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many; see `StepScorer.score_batch`."""
        for item in items:
            _check(item)
        return await together([self._judge(item) for item in items])

    async def _judge(self, item: ScoreItem) -> Judgement:
        config, options = self._config, item.options
        deadline = options.get("deadline_s")
        deadline = config.deadline_s if deadline is None else deadline
        stop = options.get("stop_at_first_error")
        stop = config.stop_at_first_error if stop is None else stop
        # a verdict of the whole is what only packs ask for
        default = "min" if config.aggregate == "overall" else config.aggregate
        how: Aggregate = options.get("aggregate") or default
        usage = {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0}
        usage |= {"critiques": 0, "requests": 0}
        steps = [
            _without_score(place, "empty", "the step has no text")
            for place in range(len(item.steps))
        ]
        places = [place for place, step in enumerate(item.steps) if step.strip()]
        token_ids = self._encode(item.problem, [item.steps[place] for place in places])
        markers = [at for at, token in enumerate(token_ids) if token == self._marker]
        limit = self._engine.max_model_len
        if len(markers) != len(places):
            reason = f"{len(markers)} marker tokens in the text of {len(places)} steps"
            for place in places:
                steps[place] = _without_score(place, "error", reason)
            places = []
        for place, at in zip(places, markers, strict=False):
            if at >= limit:
                reason = str(PromptTooLongError(at + 1, limit))
                steps[place] = _without_score(place, "too_long", reason)
        fitting = [(place, at) for place, at in zip(places, markers, strict=False) if at < limit]
        if fitting:
            # values depend on what is before them only, so nothing after the last is sent
            prompt = Prompt((), token_ids=tuple(token_ids[: fitting[-1][1] + 1]))
            try:
                async with asyncio.timeout(deadline) as timer, self._slots:
                    pooling = await self._engine.pool(prompt)
            except TimeoutError:
                if not timer.expired():
                    raise
                reason = f"not judged within {deadline:g} s"
                for place, _ in fitting:
                    steps[place] = _without_score(place, "deadline", reason)
            except EngineError as error:
                await self._engine.check_health()
                for place, _ in fitting:
                    steps[place] = _without_score(place, "error", str(error))
            else:
                usage |= _usage(pooling)
                for place, at in fitting:
                    score = p_good(pooling.values[at], self._format.good_label)
                    steps[place] = _with_score(place, score)
        if stop and (error_at := first_error(steps)) >= 0:
            for place in range(error_at + 1, len(steps)):
                steps[place] = _without_score(place, "not_scored")
        return Judgement(
            id=item.id or content_id(item.problem, list(item.steps)),
            steps=steps,
            first_error=first_error(steps),
            solution_score=solution_score(steps, how),
            aggregate=how,
            covered=covered(steps),
            usage=usage,
            critic=self.critic,
        )

    def _encode(self, problem: str, steps: Sequence[str]) -> list[int]:
        """Token ids of the whole text. Markers and chat markup in problem and steps are broken."""
        tokenizer, layout = self._engine.tokenizer, self._format
        literals = (layout.marker, *added_literals(tokenizer))
        problem, *steps = (neutralise(text, literals) for text in (problem, *steps))
        answer = layout.between_steps.join(step + layout.marker for step in steps)
        if not layout.chat:
            plain: list[int] = tokenizer(problem + layout.after_problem + answer)["input_ids"]
            return plain
        messages = [
            Message(role="user", content=problem),
            Message(role="assistant", content=answer),
        ]
        if layout.system:
            messages.insert(0, Message(role="system", content=layout.system))
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def p_good(logits: Sequence[float], good_label: int) -> float:
    """Softmax probability of one label; a single logit is one against zero (a sigmoid).

    Raises ConfigError if there is no such label.
    """
    if len(logits) == 1:
        logits, good_label = (0.0, logits[0]), 1
    if not 0 <= good_label < len(logits):
        raise ConfigError(f"good_label {good_label}, but the head has {len(logits)} labels")
    top = max(logits)
    weights = [math.exp(logit - top) for logit in logits]
    return weights[good_label] / math.fsum(weights)


def _check(item: ScoreItem) -> None:
    """InputError, naming the field, for an item that is no solution or that asks for what a head
    does not have."""
    if not isinstance(item.problem, str):
        raise InputError("expected a string", field="problem")
    if isinstance(item.steps, str) or not all(isinstance(step, str) for step in item.steps):
        raise InputError("expected a list of strings", field="steps")
    if not item.steps:
        raise InputError("expected at least one step", field="steps")
    votes, aggregate = item.options.get("votes"), item.options.get("aggregate")
    deadline = item.options.get("deadline_s")
    if votes not in (None, 1):
        raise InputError(f"a head has one vote, got {votes}", field="votes")
    if aggregate is not None and aggregate not in get_args(Aggregate):
        raise InputError(f"no such aggregation: {aggregate!r}", field="aggregate")
    if aggregate == "overall":
        raise InputError("a head gives no verdict of the whole", field="aggregate")
    if deadline is not None and not deadline > 0:
        raise InputError(f"expected more than 0, got {deadline}", field="deadline_s")


def _with_score(place: int, score: float) -> StepJudgement:
    correct = score > 0.5
    return StepJudgement(
        index=place,
        score=score,
        verdict="correct" if correct else "incorrect",
        votes=Votes(correct=int(correct), incorrect=int(not correct)),
        status="ok",
    )


def _without_score(place: int, status: StepStatus, reason: str | None = None) -> StepJudgement:
    return StepJudgement(index=place, score=None, verdict=None, status=status, reason=reason)


def _usage(pooling: Pooling) -> dict[str, int]:
    usage = pooling.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "requests": usage.requests,
    }
