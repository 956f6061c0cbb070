"""PRM800K's phase files (Lightman et al. 2023, 2305.20050): steps with rated alternatives.

The solution is the path of chosen completions. Where a step has none (all of them wrong, or the
person wrote one), the path ends there with its first wrong completion: the first error. Ratings
are 1, 0 (neutral) and -1; the ratings stay in the column `ratings`, and `neutral` says what 0 is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

from genprm.data.formats.labelled import field, labelled
from genprm.errors import InputError
from genprm.labeling.labels import is_decided
from genprm.records import LabelledSolution, Row

Neutral = Literal["correct", "null"]


def read(
    row: Row, *, neutral: Neutral = "correct", alternatives: bool = False
) -> Iterator[LabelledSolution]:
    """The chosen path; with `alternatives` also each other rated completion after the same steps.

    Rows of quality control and of the screening are read like others: filter by their columns. A
    row without a rated completion gives no solution.
    """
    problem = field(row, "question", "problem")
    answer = row["question"].get("ground_truth_answer")
    steps = field(row, "label", "steps")
    if not isinstance(steps, list):
        raise InputError("field 'label.steps' is not a list")
    columns = {
        "answer": answer,
        "finish_reason": row["label"].get("finish_reason"),
        "is_quality_control_question": row.get("is_quality_control_question"),
        "is_initial_screening_question": row.get("is_initial_screening_question"),
    }
    path: list[tuple[str, int]] = []
    for step in steps:
        rated = [
            (c["text"], c["rating"])
            for c in step.get("completions") or ()
            if c.get("rating") in (1, 0, -1)
            and isinstance(c.get("text"), str)
            and c["text"].strip()
        ]
        selected = _chosen_completion(step)
        if alternatives:
            for pair in rated:
                if pair != selected:
                    yield _solution(problem, [*path, pair], neutral, columns)
        if selected is None:
            wrong = [pair for pair in rated if pair[1] == -1]
            if not alternatives:  # else the alternatives above include it
                path += wrong[:1]
            break
        path.append(selected)
    if path:
        yield _solution(problem, path, neutral, columns)


def write(solution: LabelledSolution) -> Row | None:
    """A row with one completion per step, the wrong one not chosen; None without labels.

    Steps after the first error, or from the first step without a label on, are left out, as the
    format has no place for them. Neutral ratings of the source are kept, others are 1 and -1.
    """
    labels = list(itertools.takewhile(lambda label: label is not None, solution.labels))
    if not labels:
        return None
    source_ratings = (solution.ratings or [])[: len(labels)]
    ratings = [1 if label else -1 for label in labels]
    if [rating >= 0 for rating in source_ratings] == labels:
        ratings = source_ratings
    ended = "found_error" if solution.first_error >= 0 else "solution"
    steps = [
        {
            "completions": [{"text": text, "rating": rating, "flagged": False}],
            "human_completion": None,
            "chosen_completion": None if rating < 0 else 0,
        }
        for text, rating in zip(solution.steps, ratings, strict=False)
    ]
    return {
        "question": {"problem": solution.problem, "ground_truth_answer": solution.answer},
        "label": {
            "steps": steps,
            "finish_reason": ended if is_decided(solution.labels) else None,
        },
    }


def _chosen_completion(step: Row) -> tuple[str, int] | None:
    at = step.get("chosen_completion")
    completions = step.get("completions") or []
    if at is None or not 0 <= at < len(completions):
        return None
    completion = completions[at]
    rating = completion.get("rating")
    return (completion["text"], rating) if rating in (1, 0, -1) else None


def _solution(
    problem: str, path: list[tuple[str, int]], neutral: Neutral, columns: Row
) -> LabelledSolution:
    ratings = [rating for _, rating in path]
    of_neutral = True if neutral == "correct" else None
    flags = [True if r == 1 else False if r == -1 else of_neutral for r in ratings]
    return labelled(
        problem=problem,
        steps=[text for text, _ in path],
        labels=flags,
        estimator="human",
        columns={**columns, "ratings": ratings},
    )
