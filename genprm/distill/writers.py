"""Critique writers: they supply critique text with a verdict of their own, and may be wrong.

`RuleWriter` writes for the built-in tasks at a set error rate and stands in for a fallible
teacher; `TeacherWriter` asks a language model through any engine. Labels come from rollouts:
a writer's verdict only decides whether its text may be used (`genprm.distill.agreement`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from genprm import tasks
from genprm.config.distill import DistillConfig
from genprm.distill.agreement import WrittenCritique
from genprm.engines.base import Engine
from genprm.errors import InputError, PromptTooLongError
from genprm.generation import Completion, Sampling
from genprm.prompts.packs import PromptPack, load_pack
from genprm.prompts.render import critique_prompt, rendered_texts
from genprm.prompts.verdict import parse_verdict
from genprm.records import Problem
from genprm.util.aio import together
from genprm.util.seeds import derive_seed


class CritiqueWriter(Protocol):
    """Writes critiques of the steps of one solution, each without a look at later steps."""

    name: str  # as critique targets cite it

    async def write(
        self,
        problem: Problem,
        steps: Sequence[str],
        upto: int,
        *,
        labels: Sequence[bool | None] = (),
    ) -> list[WrittenCritique]:
        """Critiques of steps 0 to `upto`, in order, at least one of each.

        `problem.id` identifies the solution, and makes the result independent of the order of
        work. `labels` are for writers that may see them.
        """
        ...


class RuleWriter:
    """The fallible rule writer of the built-in tasks. With error rate 0 it is an oracle."""

    def __init__(self, config: DistillConfig, seed: int) -> None:
        self.name = f"rule({config.rule.error_rate:g})"
        self._error_rate = config.rule.error_rate
        self._copies = config.critiques_per_step
        self._seed = seed

    async def write(
        self,
        problem: Problem,
        steps: Sequence[str],
        upto: int,
        *,
        labels: Sequence[bool | None] = (),
    ) -> list[WrittenCritique]:
        """Raises InputError for a problem of no built-in task."""
        if problem.task not in tasks.TASKS:
            raise InputError(
                f"solution {problem.id!r}: the rule writer knows the tasks "
                f"{', '.join(sorted(tasks.TASKS))}, not {problem.task!r} (distill.writer: teacher)"
            )
        task = tasks.get(problem.task)
        written = []
        for step in range(upto + 1):
            for copy in range(self._copies):
                rng = random.Random(derive_seed(self._seed, "write", problem.id, step, copy))
                body, correct = task.critique(
                    problem.problem, steps[: step + 1], rng, self._error_rate
                )
                written.append(WrittenCritique(step=step, body=body, correct=correct))
        return written


class TeacherWriter:
    """A language model as the teacher. It gets the pack's own critique prompt, with a sentence on
    how to write the verdict.

    With `show_label` the prompt states the label of the step, which raises the yield and makes the
    agreement filter weaker: a teacher that knows the label rarely disagrees. The teacher judges
    step by step whatever the pack's unit, with the pack `native` if that is not a prefix.
    """

    def __init__(self, engine: Engine, pack: PromptPack, config: DistillConfig, seed: int) -> None:
        self.name = f"{engine.name}(shown label)" if config.teacher.show_label else engine.name
        self._engine = engine
        self._pack = pack if pack.unit == "prefix" else load_pack("native")
        self._config = config
        self._seed = seed

    async def write(
        self,
        problem: Problem,
        steps: Sequence[str],
        upto: int,
        *,
        labels: Sequence[bool | None] = (),
    ) -> list[WrittenCritique]:
        """All steps at once; a step that does not fit the teacher's context has no verdict.

        Raises EngineError from the engine; no request of this solution is left running.
        """
        visible = labels if self._config.teacher.show_label else ()
        per_step = await together(
            self._write_step(problem, steps[: t + 1], visible[t] if t < len(visible) else None)
            for t in range(upto + 1)
        )
        return [critique for critiques in per_step for critique in critiques]

    async def _write_step(
        self, problem: Problem, steps_prefix: Sequence[str], label: bool | None
    ) -> list[WrittenCritique]:
        step = len(steps_prefix) - 1
        pack = _for_teacher(self._pack, label)
        prompt = critique_prompt(pack, self._engine.tokenizer, problem.problem, steps_prefix)
        sampling = Sampling(
            n=self._config.critiques_per_step,
            temperature=self._config.teacher.temperature,
            max_tokens=self._config.teacher.max_tokens,
            seed=derive_seed(self._seed, "write", problem.id, step),
        )
        try:
            generation = await self._engine.generate(prompt, sampling)
        except PromptTooLongError as error:
            return [WrittenCritique(step=step, body=str(error), correct=None)]
        texts = rendered_texts(pack, self._engine.tokenizer, problem.problem, steps_prefix)
        return [self._read(step, completion, texts) for completion in generation.completions]

    def _read(self, step: int, completion: Completion, texts: Sequence[str]) -> WrittenCritique:
        """Body and verdict of a critique; no verdict if it is cut off, empty, or gives several.

        `texts` are those of the prompt, whose verdicts a critique may quote.
        """
        text = completion.text
        body = text.partition(self._pack.opener)[0].strip()
        verdict = parse_verdict(self._pack, text, texts)
        one_verdict = text.count(self._pack.opener) == 1
        sound = completion.finish_reason == "stop" and one_verdict and body
        return WrittenCritique(
            step=step,
            body=body,
            correct=verdict == "correct" if sound and verdict != "invalid" else None,
            tokens=len(completion.token_ids),
        )


def _for_teacher(pack: PromptPack, label: bool | None) -> PromptPack:
    """The pack with a question that says how to end, which a trained critic knows, and that states
    the label, if there is one."""
    right, wrong = (f"{pack.opener.strip()}{pack.label_text(x)}" for x in (True, False))
    question = f'{pack.question} End with a line of its own, "{right}" or "{wrong}".'
    if label is not None:
        verdict = pack.label_text(label).strip()
        question += f" (The right verdict is known: {verdict}. Explain why.)"
    return pack.model_copy(update={"question": question})
