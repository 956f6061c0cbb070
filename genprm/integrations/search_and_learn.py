"""A critic as the PRM of search-and-learn: best-of-n, beam search and DVTS.

    prm = PRM(config)  # in scripts/test_time_compute.py, in place of load_prm(config)

with `prm_path: http://critic:8000` in the recipe. Follows `PRM` in
`src/sal/models/reward_models.py`; what is called is `score(questions, outputs)`, whose answer the
searches use as [question][answer][step]. Beam search and DVTS call it with partial answers in every
iteration, and each time all steps are judged.

A critic that judges each step given those before it finds the steps after an error right, so that
the last score, by which search-and-learn ranks, says little of the answer. Scores are therefore
carried: each is the minimum of all up to it, and the last one is that of the worst step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from genprm.errors import InputError
from genprm.integrations.judge import connect, judge, wait_for
from genprm.records import Judgement
from genprm.rewards.carried import carry_minimum
from genprm.scoring.base import ScoreOptions, StepScorer


class PRM:
    """Scores of steps by a critic.

    Args:
        search_config: search-and-learn's `Config`; its `prm_path` is the address of the service
            where no scorer is given.
        scorer: who judges.
        token: bearer token of the service.
        splitter: how answers are cut into steps; searches generate up to a blank line.
        carried: hand out carried scores. Without it the plain ones, for `agg_strategy: prod`, whose
            factors they are.
        unscored: the score of a step that has none, and the only score of an answer without steps.
            The searches reduce by min, product or last and take the best, so that at 0 an answer
            that could not be judged ranks last. NaN would rank first.
        options: of `StepScorer.score`, for all answers.

    Raises:
        ConfigError: `prm_path` is not the address of a service.
    """

    def __init__(
        self,
        search_config: Any,
        scorer: StepScorer | None = None,
        *,
        token: str | None = None,
        splitter: str = "blank_lines",
        carried: bool = True,
        unscored: float = 0.0,
        **options: Unpack[ScoreOptions],
    ):
        self.search_config = search_config
        self.model, self.tokenizer = self.load_model_and_tokenizer()
        self._scorer = connect(scorer or search_config.prm_path, token)
        self._splitter, self._carried = splitter, carried
        self._unscored, self._options = unscored, options

    def load_model_and_tokenizer(self, **ignored: Any) -> tuple[None, None]:
        """Loads nothing: the critic is loaded where it is served."""
        return None, None

    def score(
        self, questions: Sequence[str], outputs: Sequence[Sequence[str]], **ignored: Any
    ) -> list[list[list[float]]]:
        """The scores of the steps of each answer (`outputs[i]` are answers to `questions[i]`).

        Raises:
            InputError: lists of other lengths, an option that the scorer refuses.
            ConfigError, EngineError: the service refused the token or does not answer.
        """
        if len(questions) != len(outputs):
            raise InputError(f"{len(questions)} questions, but {len(outputs)} lists of answers")
        pairs = [(q, a) for q, answers in zip(questions, outputs, strict=True) for a in answers]
        problems, solutions = [q for q, _ in pairs], [a for _, a in pairs]
        judging = judge(self._scorer, problems, solutions, self._splitter, self._options)
        judgements = iter(wait_for(judging))
        return [[self._scores(next(judgements)) for _ in answers] for answers in outputs]

    def _scores(self, judgement: Judgement | None) -> list[float]:
        scores = [None] if judgement is None else [step.score for step in judgement.steps]
        # before they are carried: an unscored step in the middle must count in the last one
        filled = [self._unscored if score is None else score for score in scores]
        return carry_minimum(filled) if self._carried else filled
