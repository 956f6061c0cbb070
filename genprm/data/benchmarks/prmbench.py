"""PRMBench (Song et al. 2025, 2501.03124): solutions into which errors of a class were put.

`error_steps` are all of them, 1-based; the first is the first error. Rows whose `error_steps` go
beyond the solution are marked as suspect. Ids there are unique within a class only.
"""

from __future__ import annotations

from genprm.data.benchmarks.annotations import build_row, read_integer
from genprm.data.formats.labelled import read_field, read_texts
from genprm.errors import InputError
from genprm.records import Row


def read(row: Row, where: str) -> Row:
    """One evaluation row, of the modified solution."""
    steps, numbers = read_texts(row, "modified_process"), row["error_steps"]
    if not isinstance(numbers, list):
        raise InputError("not a list of steps", field="error_steps")
    errors = [read_integer(step, "error_steps") for step in numbers]
    if errors and min(errors) < 1:
        raise InputError(f"steps count from 1: {min(errors)}", field="error_steps")
    kind = str(row.get("classification") or "unnamed")
    own_id = str(row.get("idx") or "")
    suspect = {"suspect": True} if errors and max(errors) > len(steps) else {}
    return build_row(
        row,
        problem=read_field(row, "modified_question"),
        steps=steps,
        first_error=min(errors, default=0) - 1,
        source=f"prmbench/{kind}",
        without=("modified_question", "modified_process", "idx"),
        id=own_id if own_id.startswith(kind) or not own_id else f"{kind}_{own_id}",
        **suspect,
    )
