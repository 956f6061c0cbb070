"""UltraInteract (Yuan et al. 2024, 2404.02078): pairs of a right and a wrong answer to a question.

Only whole answers are judged there, so `outcome` is set and no step has a label. Turns between the
question and the pair stay in the column `trajectory`. Rows of its SFT form (`instruction`,
`response`) are right answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from genprm.data.formats.labelled import build_solution, read_field, read_text
from genprm.errors import InputError
from genprm.records import LabelledSolution, Row
from genprm.steps import split
from genprm.steps.prose import fences

ENDS = {"chosen": True, "rejected": False}


def read(row: Row) -> Iterator[LabelledSolution]:
    """The solutions of a pair, the right one first; one if the other is blank, as in a row of the
    SFT form."""
    if "trajectory" not in row:
        yield _solution(row, read_text(row, "instruction"), "response", True)
        return
    turns = read_field(row, "trajectory")
    first = turns[0] if isinstance(turns, list) and turns else None
    question = first.get("value") if isinstance(first, dict) else None
    if not isinstance(question, str):
        raise InputError("no text of the user", field="trajectory[0].value")
    ends = {name: outcome for name, outcome in ENDS.items() if not _is_blank(row.get(name))}
    if not ends:
        raise InputError(f"a text in neither of {' and '.join(map(repr, ENDS))}")
    for name, outcome in ends.items():
        yield _solution(row, question, name, outcome)


def _is_blank(text: Any) -> bool:
    return text is None or (isinstance(text, str) and not text.strip())


def _solution(row: Row, problem: str, name: str, outcome: bool) -> LabelledSolution:
    text = read_text(row, name)
    steps = split(text, "code" if fences(text) else "lines")  # lines of a program lose indentation
    own = {*ENDS, "instruction", "response", "task", "dataset"}
    columns: dict[str, Any] = {key: value for key, value in row.items() if key not in own}
    return build_solution(
        problem=problem,
        steps=steps,
        labels=[None] * len(steps),
        estimator="outcome",
        columns={**columns, "outcome": outcome, "source": row.get("dataset")},
    )
