"""BIG-Bench Mistake (Tyen et al. 2023, 2311.08516): `mistake_index` is the first error, 0-based,
null for none. The task is the name of the file.

A row without a mistake whose answer is wrong is marked as suspect.
"""

from __future__ import annotations

from genprm.data.benchmarks.annotations import build_row, read_integer
from genprm.data.formats.labelled import read_field, read_texts
from genprm.errors import InputError
from genprm.records import Row


def read(row: Row, where: str) -> Row:
    """One evaluation row."""
    mistake = row["mistake_index"]
    first_error = -1 if mistake is None else read_integer(mistake, "mistake_index")
    if mistake is not None and first_error < 0:
        raise InputError(f"below 0: {first_error}", field="mistake_index")
    answer, target = row.get("answer"), row.get("target")
    is_wrong = None not in (answer, target) and str(answer).strip() != str(target).strip()
    suspect = {"suspect": True} if mistake is None and is_wrong else {}
    task = where.rpartition(":")[0].rpartition("/")[2].partition(".")[0]
    return build_row(
        row,
        problem=read_field(row, "input"),
        steps=read_texts(row, "steps"),
        first_error=first_error,
        source=f"bigbench_mistake/{task}" if task else "bigbench_mistake",
        without=("input",),
        **suspect,
    )
