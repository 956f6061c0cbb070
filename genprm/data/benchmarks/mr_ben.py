"""Mr-Ben (Zeng et al. 2024, 2406.13975): solutions of questions with options, by subject."""

from __future__ import annotations

from genprm.data.benchmarks.annotations import build_row, find_first_error
from genprm.data.formats.labelled import read_field, read_texts
from genprm.records import Row

CORRECTNESS = "Model_Solution_Correctness"
FIRST_ERROR = "Model_Solution_First_Error_Step"


def read(row: Row, where: str) -> Row:
    """One evaluation row. Several models solve a question, so the model is part of the id."""
    steps, options = read_texts(row, "Model_Solution_Steps"), row.get("Options") or ""
    lines = [str(read_field(row, "Question"))]
    lines += map(str, options) if isinstance(options, list) else [str(options)]
    names = (row.get("Question_UUID"), row.get("Sampled_Model"))
    return build_row(
        row,
        problem="\n".join(line for line in lines if line.strip()),
        steps=steps,
        first_error=find_first_error(row, steps, CORRECTNESS, FIRST_ERROR),
        source=f"mr_ben/{row.get('Subject') or 'unnamed'}",
        without=("Question", "Options", "Model_Solution_Steps"),
        id="-".join(str(name) for name in names if name),
    )
