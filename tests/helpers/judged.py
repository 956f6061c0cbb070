"""Judgements for tests, written the short way: one string of votes per step.

`+` is a critique that says correct, `-` one that says incorrect, `?` an invalid one; an empty
string is a step that could not be judged. `judge("a", "+++", "+-+")` has two steps of three
critiques each.
"""

from __future__ import annotations

import random

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


def judged_set(n: int, seed: int = 0) -> tuple[list[EvaluationRow], list[Judgement]]:
    """`n` rows of two sources, each with a judgement of four critiques per step whose
    probabilities are drawn; some rows are suspect, some steps too long, some critiques invalid."""
    rng = random.Random(seed)
    rows, judgements = [], []
    for number in range(n):
        steps = rng.randint(2, 5)
        error = rng.randrange(steps) if rng.random() < 0.5 else -1
        source = ("arithmetic", "tracking")[number % 2]
        more = {"suspect": True} if rng.random() < 0.05 else {}
        rows.append(row(f"r{number}", steps, error, source, **more))
        judged = []
        for index in range(steps):
            step = _step(index, "" if rng.random() < 0.01 else "++++", "Looks at it.")
            critiques = [_drawn(rng, index == error) for _ in step.critiques]
            score, verdict, votes = vote(critiques)
            change = {"score": score, "verdict": verdict, "votes": votes, "critiques": critiques}
            judged.append(step.model_copy(update=change))
        judgement = judge(f"r{number}", *["+"] * steps)
        judgements.append(
            judgement.model_copy(
                update={
                    "steps": judged,
                    "first_error": first_error(judged),
                    "solution_score": solution_score(judged, "min"),
                    "covered": covered(judged),
                }
            )
        )
    return rows, judgements


def _drawn(rng: random.Random, wrong: bool) -> Critique:
    if rng.random() < 0.02:
        return critique("?")
    p = round(rng.betavariate(2, 4) if wrong else rng.betavariate(6, 2), 4)
    return critique("+" if p > 0.5 else "-").model_copy(update={"p_correct": p})
