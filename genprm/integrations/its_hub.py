"""A critic as the reward model of its_hub: particle filtering and Gibbs, beam search, best-of-n.

    search = ParticleFiltering(step_generation, CriticPRM("http://critic:8000"))
    search = BestOfN(CriticORM("http://critic:8000"))

Follows its_hub 1.2: `api/reward_models/{prm,orm}.py`, and `particle_gibbs.py`, `beam_search.py` and
`bon.py` in `core/algorithms`. Step searches ask for one number per partial answer, in [0, 1]; all
of its steps are judged each time. They flatten a chat to a text with "user: " in it, so that the
problem is best given as a text. Best-of-n asks for one number per conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from genprm.errors import InputError
from genprm.integrations.chat import message_text, problem_of
from genprm.integrations.judge import in_own_loop, wait_for
from genprm.integrations.solution_rewards import RewardSettings, SolutionRewards
from genprm.scoring.base import StepScorer


class _Scores:
    """Steps are cut at blank lines, as its_hub's own steps are, and scores are as they come: a
    search wants fine differences, and 0, where there is no score, ranks last."""

    def __init__(self, scorer: StepScorer | str, **settings: Unpack[RewardSettings]):
        settings.setdefault("splitter", "blank_lines")
        settings.setdefault("precision", "exact")
        self._critic = SolutionRewards(scorer, **settings)

    async def _score(self, problems: Sequence[str], answers: Sequence[str]) -> list[float]:
        return [figures["score"] for figures in await self._critic.figures(problems, answers)]


class CriticPRM(_Scores):
    """The solution scores of answers to one prompt, partial or whole.

    Args:
        scorer: who judges, or the address of a service.
        settings: see `RewardSettings`.
    """

    def score(self, prompt: Any, answers: str | Sequence[str]) -> float | list[float]:
        """A number for each answer; for one text, one number."""
        return wait_for(self._all(prompt, answers))

    async def ascore(self, prompt: Any, answers: str | Sequence[str]) -> float | list[float]:
        """As `score`."""
        return await in_own_loop(self._all(prompt, answers))

    async def _all(self, prompt: Any, answers: str | Sequence[str]) -> float | list[float]:
        texts = [answers] if isinstance(answers, str) else list(answers)
        scores = await self._score([problem_of(_plain(prompt))] * len(texts), texts)
        return scores[0] if isinstance(answers, str) else scores


class CriticORM(_Scores):
    """The solution scores of the last messages of conversations.

    Args:
        scorer: who judges, or the address of a service.
        settings: see `RewardSettings`.
    """

    def score(self, messages: Any, *ignored: Any, **also_ignored: Any) -> float | list[float]:
        """A number for each conversation; for one, which is a list of messages or its_hub's
        `ChatMessages`, one number. What its_hub hands over besides, such as `orchestrator`, is not
        used."""
        return wait_for(self._all(messages))

    async def ascore(
        self, messages: Any, *ignored: Any, **also_ignored: Any
    ) -> float | list[float]:
        """As `score`."""
        return await in_own_loop(self._all(messages))

    async def _all(self, messages: Any) -> float | list[float]:
        messages = _plain(messages)
        if isinstance(messages, str):
            raise InputError("CriticORM: expected the messages of a conversation, not a text")
        many = bool(messages) and isinstance(messages[0], list)
        chats = messages if many else [messages]
        problems = [problem_of(chat[:-1]) for chat in chats]
        scores = await self._score(problems, [message_text(chat[-1]) for chat in chats])
        return scores if many else scores[0]


def _plain(chat: Any) -> Any:
    """The list of messages in a `ChatMessages` of its_hub; anything else as it is."""
    return getattr(chat, "to_chat_messages", lambda: chat)()
