"""ProcessBench (Zheng et al. 2024, 2412.06559): `label` is the first error, 0-based, -1 for none.

A subset is a file there, and the first part of the ids ("gsm8k-12").
"""

from __future__ import annotations

from genprm.data.benchmarks.annotations import build_row, read_integer
from genprm.data.formats.labelled import read_field, read_texts
from genprm.errors import InputError
from genprm.records import Row


def read(row: Row, where: str) -> Row:
    """One evaluation row."""
    label = read_integer(row["label"], "label")
    if label < -1:
        raise InputError(f"below -1, which is for no error: {label}", field="label")
    subset, dash, _ = str(row.get("id") or "").rpartition("-")
    return build_row(
        row,
        problem=read_field(row, "problem"),
        steps=read_texts(row, "steps"),
        first_error=label,
        source=f"processbench/{subset}" if dash and subset else "processbench",
    )
