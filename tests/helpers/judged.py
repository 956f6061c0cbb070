"""Judgements for tests, written the short way: one string of votes per step.

`+` is a critique that says correct, `-` one that says incorrect, `?` an invalid one; an empty
string is a step that could not be judged. `judge("a", "+++", "+-+")` has two steps of three
critiques each.
"""

from __future__ import annotations

from genprm.records import CriticInfo, Critique, EvaluationRow, Judgement, StepJudgement, StepStatus
from genprm.scoring.voting import covered, first_error, solution_score, vote

CRITIC = CriticInfo(model="critic", pack="native", fingerprint="0" * 16, scoring="label_probs")
VERDICTS = {"+": "correct", "-": "incorrect", "?": "invalid"}
CONFIDENT = {"+": 0.9, "-": 0.1, "?": None}


def critique(mark: str, text: str = "Looks at the step.") -> Critique:
    return Critique(
        text=text,
        verdict=VERDICTS[mark],
        p_correct=CONFIDENT[mark],
        finish_reason="stop",
        tokens=10,
    )


def judge(id: str, *steps: str, text: str = "Looks at the step.") -> Judgement:
    """Steps with status ok where a critique is valid; an empty one is `too_long`."""
    judged = [_step(index, marks, text) for index, marks in enumerate(steps)]
    return Judgement(
        id=id,
        steps=judged,
        first_error=first_error(judged),
        solution_score=solution_score(judged, "min"),
        aggregate="min",
        covered=covered(judged),
        usage={"completion_tokens": 10 * sum(map(len, steps))},
        critic=CRITIC,
    )


def row(
    id: str, steps: int, first_error: int, source: str = "unnamed", **more: object
) -> EvaluationRow:
    return EvaluationRow(
        id=id,
        problem=f"problem {id}",
        steps=[f"step {i}" for i in range(steps)],
        first_error=first_error,
        source=source,
        **more,
    )


def _step(index: int, marks: str, text: str) -> StepJudgement:
    critiques = [critique(mark, text) for mark in marks]
    score, verdict, votes = vote(critiques)
    status: StepStatus = "ok" if score is not None else "no_valid_critique" if marks else "too_long"
    return StepJudgement(
        index=index, score=score, verdict=verdict, votes=votes, status=status, critiques=critiques
    )
