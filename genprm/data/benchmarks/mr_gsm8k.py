"""MR-GSM8K (Zeng et al. 2023, 2312.17080): solutions of GSM8K, of its variants too."""

from __future__ import annotations

from genprm.data.benchmarks.annotations import build_row, find_first_error
from genprm.data.formats.labelled import read_field, read_texts
from genprm.records import Row

CORRECTNESS = "model_output_solution_correctness"
FIRST_ERROR = "model_output_solution_first_error_step"


def read(row: Row, where: str) -> Row:
    """One evaluation row."""
    steps = read_texts(row, "model_output_steps")
    return build_row(
        row,
        problem=read_field(row, "question"),
        steps=steps,
        first_error=find_first_error(row, steps, CORRECTNESS, FIRST_ERROR),
        source=f"mr_gsm8k/{row.get('question_type') or 'unnamed'}",
        without=("question", "model_output_steps", "uuid"),
        id=row.get("uuid"),
    )
