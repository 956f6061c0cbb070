"""PRM800K's phase files (Lightman et al. 2023, 2305.20050): steps with rated alternatives.

The solution is the path of chosen completions, or of what the person wrote where none would do,
which counts as right (`human_steps` has the places). Where a step has neither, the path ends there
with its first wrong completion: the first error. Ratings are 1, 0 (neutral) and -1; they stay in
the column `ratings`, and `neutral` says what 0 is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from genprm.data.formats.labelled import build_solution, read_field
from genprm.errors import InputError
from genprm.labeling.labels import is_decided
from genprm.records import LabelledSolution, Row

Neutral = Literal["correct", "null"]


def read(
    row: Row, *, neutral: Neutral = "correct", alternatives: bool = False
) -> Iterator[LabelledSolution]:
    """The chosen path; with `alternatives` also each other rated completion after the same steps,
    such as those in whose place the person wrote one.

    Rows of quality control and of the screening are read like others: filter by their columns. A
    row without a rated completion gives no solution.
    """
    problem = read_field(row, "question", "problem")
    answer = row["question"].get("ground_truth_answer")
    steps = read_field(row, "label", "steps")
    if not isinstance(steps, list):
        raise InputError("field 'label.steps' is not a list")
    columns = {
        "answer": answer,
        "finish_reason": row["label"].get("finish_reason"),
        "is_quality_control_question": row.get("is_quality_control_question"),
        "is_initial_screening_question": row.get("is_initial_screening_question"),
    }
    path: list[tuple[str, int]] = []
    human: list[int] = []
    for number, step in enumerate(steps):
        where = f"label.steps[{number}]"
        rated = _rated(step, where)
        choice = _index(step.get("chosen_completion"), len(step.get("completions") or ()), where)
        selected = None if choice is None else rated.get(choice)
        completion = step.get("human_completion") if choice is None else None
        text = completion.get("text") if isinstance(completion, dict) else completion
        by_hand = isinstance(text, str) and bool(text.strip())
        if isinstance(text, str) and by_hand:
            selected = (text, 1)
        if alternatives:
            for at, pair in rated.items():
                if at != choice and pair != selected:
                    yield _solution(problem, [*path, pair], neutral, columns, human)
        if selected is None:
            wrong = [pair for pair in rated.values() if pair[1] == -1]
            if not alternatives:  # else the alternatives above include it
                path += wrong[:1]
            break
        human += [len(path)] if by_hand else []
        path.append(selected)
    if path:
        yield _solution(problem, path, neutral, columns, human)


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


def _rated(step: Any, where: str) -> dict[int, tuple[str, int]]:
    """Text and rating of each completion that has both, by its index."""
    completions = step.get("completions") or [] if isinstance(step, dict) else None
    if not isinstance(completions, list) or not all(isinstance(c, dict) for c in completions):
        raise InputError("not a step with a list of completions", field=where)
    return {
        at: (c["text"], int(c["rating"]))
        for at, c in enumerate(completions)
        if c.get("rating") in (1, 0, -1) and isinstance(c.get("text"), str) and c["text"].strip()
    }


def _index(choice: Any, completions: int, where: str) -> int | None:
    """The index of the chosen completion, which some tools write as a float; None if there is
    none. Raises InputError if it is no index."""
    if choice is None:
        return None
    if isinstance(choice, bool) or not isinstance(choice, int | float) or choice != int(choice):
        raise InputError(f"no index: {choice!r}", field=f"{where}.chosen_completion")
    if not 0 <= choice < completions:
        message = f"{choice:g}, and there are {completions} completions"
        raise InputError(message, field=f"{where}.chosen_completion")
    return int(choice)


def _solution(
    problem: str,
    path: list[tuple[str, int]],
    neutral: Neutral,
    columns: Row,
    human: Sequence[int],
) -> LabelledSolution:
    ratings = [rating for _, rating in path]
    of_neutral = True if neutral == "correct" else None
    flags = [True if r == 1 else False if r == -1 else of_neutral for r in ratings]
    by_hand = {"human_steps": list(human)} if human else {}
    return build_solution(
        problem=problem,
        steps=[text for text, _ in path],
        labels=flags,
        estimator="human",
        columns={**columns, **by_hand, "ratings": ratings},
    )
