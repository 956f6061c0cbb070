"""Unit `turns`: steps are judged one after another, each critique in the conversation of earlier
ones.

There are as many conversations as votes. Those that are alike so far share a request.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from genprm.prompts.render import critic_turn
from genprm.records import Critique, StepJudgement
from genprm.scoring.judging import Judged, Judging
from genprm.scoring.rounds import sample_step
from genprm.scoring.tools import PythonSession
from genprm.util.aio import together

History = tuple[str, ...]  # the critic's turns so far


async def judge_turns(judging: Judging) -> Judged:
    """Run `votes` conversations side by side.

    Where early stopping ended a step before every conversation wrote a critique, the others reuse
    the existing ones, round-robin.
    """
    task = judging.task
    steps: list[StepJudgement] = []
    histories: list[History] = [()] * task.votes
    sessions = [PythonSession() for _ in histories]
    for place in range(len(task.steps)):
        if not any(tool.keeps_names for tool in judging.pack.tools):
            sessions = [PythonSession() for _ in histories]
        step, critiques = await judging.step(
            place, partial(_critiques, judging, place, histories, sessions)
        )
        steps.append(step)
        if task.stop_at_first_error and step.verdict == "incorrect":
            return Judged(steps + judging.leave_out(len(steps)))
        if step.status not in ("ok", "no_valid_critique"):  # the conversations have a hole here
            reason = f"step {place} before it: {step.reason}"
            rest = [
                step.model_copy(update={"index": later, "reason": reason})
                for later in range(place + 1, len(task.steps))
            ]
            return Judged(steps + judging.emit(rest))
        turns = [_turn(judging, place, critique) for critique in critiques]
        histories = [(*h, turns[k % len(turns)]) for k, h in enumerate(histories)]
        sessions = [sessions[k % len(turns)].copy() for k in range(len(sessions))]
    return Judged(steps)


async def _critiques(
    judging: Judging,
    place: int,
    histories: Sequence[History],
    sessions: Sequence[PythonSession],
) -> list[Critique]:
    prefix = judging.task.steps[: place + 1]
    done = 0

    async def sample(n: int, number: Sequence[int]) -> list[Critique]:
        nonlocal done
        groups: dict[History, list[int]] = defaultdict(list)
        for conversation, history in enumerate(histories[done : done + n], done):
            groups[history].append(conversation)

        async def sample_group(
            history: History, conversations: Sequence[int], group: int
        ) -> list[Critique]:
            seed = judging.seed("turn", place, group, *number)
            about = await judging.prompt(prefix, history)
            return await judging.sampler.sample(
                about.prompt,
                len(conversations),
                about.shown,
                seed,
                judging.ledger,
                [sessions[each] for each in conversations],
            )

        by_group = await together(
            sample_group(history, conversations, group)
            for group, (history, conversations) in enumerate(groups.items())
        )
        by_conversation = {
            conversation: critique
            for conversations, critiques in zip(groups.values(), by_group, strict=True)
            for conversation, critique in zip(conversations, critiques, strict=True)
        }
        done += len(by_conversation)
        return [by_conversation[each] for each in sorted(by_conversation)]

    return await sample_step(judging, sample)


def _turn(judging: Judging, place: int, critique: Critique) -> str:
    """The critique as a turn of its conversation, with the verdict that counted."""
    correct = None if critique.verdict == "invalid" else critique.verdict == "correct"
    return critic_turn(judging.pack, judging.engine.tokenizer, place, critique.text, correct)
