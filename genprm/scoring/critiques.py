"""One critique prompt to critiques with verdicts: sampled, continued where the pack says so, read.

A critique stops at the pack's opener, and a short request reads the probabilities of the two
verdicts after it; the same request asks a critique that ran out of tokens for its verdict. A pack
may have a critique written in sections, and let it use tools: what it writes to one is run, the
output is put after it, and the writing goes on. Knows no steps and no votes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from genprm.config.score import ScoreConfig
from genprm.engines.base import Engine
from genprm.errors import ConfigError, PromptTooLongError
from genprm.generation import Completion, Generation, Prompt, Sampling, Usage
from genprm.prompts.packs import PromptPack, Tool
from genprm.prompts.render import (
    LabelTokens,
    continued,
    label_tokens,
    overall_label_tokens,
    question_label_tokens,
    safe_text,
    stop_strings,
    verdict_prompt,
)
from genprm.prompts.untrusted import added_literals, neutralise
from genprm.prompts.verdict import LabelReading, parse_verdict, read_labels
from genprm.records import Critique
from genprm.scoring.tools import PythonSession, calculate
from genprm.util.aio import together
from genprm.util.seeds import derive_seed
from genprm.verifiers.sandbox import check_sandbox

# Room for a written label where it is not read from probabilities: labels are a word or two.
LABEL_TOKENS = 4
# Tokenising prompt, critique and opener as one text may take a few tokens more than in parts.
RETOKENISING_SLACK = 4
MAX_PROGRAMS = 4  # that critics run at the same time
LONG_TEXT = 20_000  # characters that are neutralised and tokenised in some ten milliseconds


class Ledger:
    """What one step or solution has cost so far, also when it fails halfway."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.critiques = 0

    def row(self) -> dict[str, int]:
        """The `usage` of a judgement."""
        usage = self.usage
        return {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "critiques": self.critiques,
            "requests": usage.requests,
        }


@dataclass
class Draft:
    """A critique on its way.

    `text`: what was written and put in. `safe`: the text with special tokens broken, as it is sent
    back to the engine. `stop`: the stop string that ended it. `open`: the verdict must still be
    asked for. `opened`: the critic wrote its opener.
    """

    text: str = ""
    safe: str = ""
    stop: str = ""
    tokens: int = 0
    section: int = 0
    section_start: tuple[int, int] = (0, 0)  # in `text`, in `safe`
    unread: int = 0  # in `text`: a tool may be opened after it
    python: PythonSession = field(default_factory=PythonSession)
    calls: int = 0
    finish_reason: str = "stop"
    open: bool = False
    opened: bool = False
    forced: bool = False

    def put(self, text: str) -> None:
        """Append the pack's own words, or a tool's output made harmless."""
        self.text += text
        self.safe += text


class CritiqueSampler:
    """Samples critiques with an engine and a pack; see `Scorer` for the arguments.

    `labels` are the label tokens whose probabilities are read, None where verdicts are counted.

    Raises:
        ConfigError: the pack's labels cannot be told apart by the engine's tokenizer, or the pack
            has critiques written in parts and the engine cannot go on with a text, or lets them
            run Python and there is no sandbox.
    """

    def __init__(
        self, engine: Engine, pack: PromptPack, config: ScoreConfig, adapter: str | None = None
    ):
        self._engine, self._pack, self._config = engine, pack, config
        self._adapter = adapter
        if pack.continues and not engine.capabilities.prefill:
            raise ConfigError(
                f"pack {pack.name}: its critiques are written in parts, and the engine of "
                f"{engine.name} cannot go on with a text"
            )
        if any(tool.kind == "python" for tool in pack.tools):
            check_sandbox()
        self.labels: LabelTokens | None = None
        self._question_labels: LabelTokens | None = None
        self._overall_labels: LabelTokens | None = None
        if reads_labels(engine, config):
            self.labels = label_tokens(pack, engine.tokenizer)
            self._question_labels = question_label_tokens(pack, engine.tokenizer)
            if pack.overall is not None:
                self._overall_labels = overall_label_tokens(pack, engine.tokenizer)
        self._programs = asyncio.Semaphore(MAX_PROGRAMS)

    async def sample(
        self,
        prompt: Prompt,
        n: int,
        shown: Sequence[str],
        seed: int | None,
        ledger: Ledger,
        python: Sequence[PythonSession] = (),
    ) -> list[Critique]:
        """`n` critiques with their verdicts. `shown` are the untrusted texts in the prompt, none of
        whose lines counts as a verdict; `python` the sessions in which the critiques run programs,
        one for each, empty for new ones.

        Raises:
            PromptTooLongError: the prompt leaves no room for a critique.
            EngineError: from the engine.
        """
        drafts = await self.drafts(prompt, n, seed, ledger, python=python)
        # Equal critiques have equal verdict prompts: each is read once.
        ends = list(dict.fromkeys((draft.safe, draft.opened) for draft in drafts if draft.open))
        readings = await together([self._verdict(prompt, *end, ledger) for end in ends])
        reading_of = dict(zip(ends, readings, strict=True))
        critiques = []
        for draft in drafts:
            if draft.open:
                reading = reading_of[draft.safe, draft.opened]
            elif draft.finish_reason == "stop":
                verdict = parse_verdict(self._pack, draft.text + draft.stop, shown)
                reading = LabelReading(verdict, None, None)
            else:
                reading = LabelReading("invalid", None, None)
            critiques.append(critique_of(draft, reading))
        return critiques

    async def drafts(
        self,
        prompt: Prompt,
        n: int,
        seed: int | None,
        ledger: Ledger,
        *,
        steps: int = 1,
        python: Sequence[PythonSession] = (),
    ) -> list[Draft]:
        """`n` critiques of so many steps, each up to its verdict, written or still to be asked for.
        `python` as of `sample`."""
        budget, stops = self._config.max_critique_tokens, self._stops(0, steps)
        first = await self.generate(prompt, self._sampling(prompt, n, budget, stops, seed), ledger)
        ledger.critiques += len(first.completions)
        sessions = python or [PythonSession() for _ in first.completions]
        return await together(
            self._finished(
                prompt, completion, session, None if seed is None else (seed, number), ledger
            )
            for number, (completion, session) in enumerate(
                zip(first.completions, sessions, strict=True)
            )
        )

    async def _finished(
        self,
        prompt: Prompt,
        completion: Completion,
        python: PythonSession,
        seed: tuple[int, int] | None,
        ledger: Ledger,
    ) -> Draft:
        """The draft that begins with `completion`, continued section by section and tool by tool.
        `seed` is that of the request and the completion's place in it."""
        draft = Draft(python=python)
        part = 0
        while await self._append(draft, completion):
            part += 1
            left = self._config.max_critique_tokens - draft.tokens
            request = await self.continued(prompt, draft.safe)
            part_seed = None if seed is None else derive_seed(seed[0], "part", seed[1], part)
            try:
                sampling = self._sampling(request, 1, left, self._stops(draft.section), part_seed)
            except PromptTooLongError:
                draft.finish_reason = "length"
                self._force(draft)
                break
            [completion] = (await self.generate(request, sampling, ledger)).completions
        return draft

    async def _append(self, draft: Draft, completion: Completion) -> bool:
        """Append a completion, and the tool output or section beginning that follows it. Returns
        whether the critic is to write on."""
        pack = self._pack
        draft.text += completion.text
        draft.safe += safe_text(self._engine.tokenizer, completion.text)
        draft.tokens += len(completion.token_ids)
        draft.finish_reason = completion.finish_reason
        if completion.finish_reason == "length":
            self._force(draft)
            return False
        if completion.finish_reason != "stop":
            return False
        if completion.stop_reason == pack.opener:
            draft.open = draft.opened = True
            return False
        room = draft.tokens < self._config.max_critique_tokens
        closed = [tool for tool in pack.tools if tool.close == completion.stop_reason]
        if closed and room:
            return await self._use_tool(draft, closed)
        if pack.sections and room:
            draft.put(pack.sections[draft.section].end)
            if draft.section + 1 < len(pack.sections):
                draft.section += 1
                draft.section_start = (len(draft.text), len(draft.safe))
                draft.unread = len(draft.text)
                draft.put(pack.sections[draft.section].begin)
                return True
        draft.stop = completion.stop_reason or ""
        stated = parse_verdict(pack, draft.text + draft.stop) != "invalid"
        if stated and self.labels is not None:  # on the first line, where no opener stops it
            draft.open = True
            return False
        if (pack.ask_always and not stated) or pack.sections or closed:
            self._force(draft, cut=not room)
        return False

    async def _use_tool(self, draft: Draft, closed: Sequence[Tool]) -> bool:
        """Run what the critique wrote to one of the `closed` tools, which share a closing string,
        and append the output. Returns whether the critic is to write on: not after its last call.
        """
        draft.put(closed[0].close)
        opened = {tool.open: draft.text.rfind(tool.open, draft.unread) for tool in closed}
        tool = max(closed, key=lambda tool: opened[tool.open])
        if opened[tool.open] < 0:  # the end of something else
            draft.unread = len(draft.text)
            return True
        content = draft.text[opened[tool.open] + len(tool.open) : -len(tool.close)]
        if tool.kind == "calculator":
            output = calculate(content)
        else:
            output = await self._run(draft.python, content, tool)
        literals = [*added_literals(self._engine.tokenizer), *self._pack.verdict_literals]
        literals += [each.open for each in self._pack.tools]
        draft.put(tool.answer.replace("{output}", neutralise(output, literals)))
        draft.unread = len(draft.text)
        draft.calls += 1
        if draft.calls < self._pack.tool_calls:
            return True
        self._force(draft, cut=self._pack.drop_unfinished)
        return False

    async def _run(self, python: PythonSession, block: str, tool: Tool) -> str:
        """What a block prints. A program whose critique was given up still counts among those that
        run, until it has ended."""

        async def in_turn() -> str:
            async with self._programs:
                return await asyncio.to_thread(python.run, block, tool.failed, tool.late)

        return await asyncio.shield(in_turn())

    def _force(self, draft: Draft, cut: bool = True) -> None:
        """Leave the verdict to be asked for here. A section that was begun and not ended is ended;
        with `cut` it is left out, if it is not the first."""
        draft.open = self._engine.capabilities.prefill
        draft.forced = draft.open and draft.finish_reason == "length"
        sections = self._pack.sections
        if cut and draft.section:
            text, safe = draft.section_start
            draft.text, draft.safe = draft.text[:text], draft.safe[:safe]
        elif sections and not draft.safe.endswith(sections[draft.section].end):
            end = sections[draft.section].end
            draft.put(end if draft.safe.endswith("\n") else f"\n{end}")

    def _sampling(
        self, prompt: Prompt, n: int, budget: int, stops: tuple[str, ...], seed: int | None
    ) -> Sampling:
        config = self._config
        return Sampling(
            n=n,
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
            max_tokens=self._room(prompt, budget),
            stop=stops,
            seed=seed,
        )

    def _room(self, prompt: Prompt, budget: int) -> int:
        """Tokens for a critique, such that its verdict still fits after it."""
        if not prompt.token_ids:  # the engine's own tokenizer counts, and refuses
            return budget
        labels = (self.labels, self._question_labels)
        opener = max(len(each.opener_ids) if each else LABEL_TOKENS for each in labels)
        reserve = opener + LABEL_TOKENS + RETOKENISING_SLACK
        room = self._engine.max_model_len - len(prompt.token_ids) - reserve
        if room < 1:
            raise PromptTooLongError(len(prompt.token_ids), self._engine.max_model_len - reserve)
        return min(budget, room)

    def _stops(self, section: int, steps: int = 1) -> tuple[str, ...]:
        """Stop at the opener if the label is read there, else after a written verdict."""
        pack = self._pack
        if pack.unit == "solution":  # the text goes on after a verdict
            return stop_strings(pack, steps)
        parts = [tool.close for tool in pack.tools]
        if pack.sections:
            parts.append(pack.sections[section].end)
        if self.labels:
            return (pack.opener, *parts, *pack.stop)
        if not self._engine.capabilities.prefill:  # a server may not say which stop string matched
            return pack.stop
        labels = (pack.correct_label, pack.incorrect_label)
        return (*(f"{pack.opener}{label}\n" for label in labels), *parts, *pack.stop)

    async def _verdict(
        self, prompt: Prompt, critique_text: str, opened: bool, ledger: Ledger
    ) -> LabelReading:
        """Ask for the verdict after `critique_text` and the opener, which the critic wrote itself
        if `opened`.

        A critique may tokenise into more than it was sampled as: one whose verdict then does not
        fit the context any more is invalid, and its siblings and the step are not.
        """
        render = partial(verdict_prompt, stated=opened)
        request = await self._rendered(
            prompt, critique_text, render, self._pack, self._engine.tokenizer
        )
        labels = self.labels if opened else self._question_labels
        try:
            if labels is not None:
                return await self.read(request, labels, ledger)
            sampling = Sampling(temperature=0.0, max_tokens=LABEL_TOKENS, stop=("\n",))
            generation = await self.generate(request, sampling, ledger)
        except PromptTooLongError:
            return LabelReading("invalid", None, None)
        text = self._pack.opener + generation.completions[0].text
        return LabelReading(parse_verdict(self._pack, text), None, None)

    async def continued(self, prompt: Prompt, text: str) -> Prompt:
        """The prompt with `text` appended to the beginning of its answer."""
        render = partial(continued, assistant_marker=self._pack.assistant_marker)
        return await self._rendered(prompt, text, render, self._engine.tokenizer)

    async def _rendered(
        self, prompt: Prompt, text: str, render: Callable[..., Prompt], *first: Any
    ) -> Prompt:
        """`render(*first, prompt, text)`, in another thread where that is long."""
        size = sum(len(message["content"]) for message in prompt.messages) + len(text)
        if size <= LONG_TEXT:
            return render(*first, prompt, text)
        return await asyncio.to_thread(render, *first, prompt, text)

    async def overall(self, prompt: Prompt, text: str, ledger: Ledger) -> float | None:
        """P(correct) of the whole solution after a critique of all steps; 1 or 0 where labels are
        written, None without a verdict."""
        question = self._pack.overall
        assert question is not None
        request = await self.continued(prompt, text.rstrip("\n") + question.ask)
        try:
            if self._overall_labels is not None:
                return (await self.read(request, self._overall_labels, ledger)).p_correct
            sampling = Sampling(temperature=0.0, max_tokens=LABEL_TOKENS, stop=("\n",))
            generation = await self.generate(request, sampling, ledger)
        except PromptTooLongError:
            return None
        answer = generation.completions[0].text.strip()
        labels = {question.correct_label.strip(): 1.0, question.incorrect_label.strip(): 0.0}
        return next((p for label, p in labels.items() if answer.startswith(label)), None)

    async def read(self, request: Prompt, labels: LabelTokens, ledger: Ledger) -> LabelReading:
        """The probabilities of two labels as the next token."""
        ids = (labels.correct_id, labels.incorrect_id)
        sampling = Sampling(temperature=0.0, max_tokens=1)
        generation = await self.generate(request, sampling, ledger, ids)
        return read_labels(labels, generation.completions[0].label_probs or {})

    async def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        ledger: Ledger,
        label_token_ids: Sequence[int] = (),
    ) -> Generation:
        """One request to the critic; its cost goes into the ledger."""
        generation = await self._engine.generate(
            prompt, sampling, label_token_ids=label_token_ids, adapter=self._adapter
        )
        ledger.usage += generation.usage
        return generation


def reads_labels(engine: Engine, config: ScoreConfig) -> bool:
    """Whether verdicts are read from the probabilities of their labels; else they are counted as
    written."""
    can = engine.capabilities
    able = can.label_probs and can.prefill and engine.tokenizer is not None
    return config.use_label_probs and able


def critique_of(draft: Draft, reading: LabelReading) -> Critique:
    """The record of a settled critique."""
    return Critique(
        text=draft.text,
        verdict=reading.verdict,
        p_correct=reading.p_correct,
        label_mass=reading.label_mass,
        finish_reason=draft.finish_reason,
        tokens=draft.tokens,
        forced=draft.forced,
    )
