"""What becomes of rows that cannot be used: the first one ends the work, or each is kept with its
reason while the others go on. Knows nothing of what makes a row bad.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal

from genprm.errors import InputError
from genprm.records import Row

OnBadRow = Literal["fail", "skip"]
SHOWN_REASONS = 5


class BadRows:
    """The rows that one reading of an input could not use.

    Attributes:
        skipped: a row for each of them: `where` it stands, the `reason`, and the `row` itself, or
            its `text` where it is no JSON object.
    """

    def __init__(self, action: OnBadRow = "fail"):
        self.action = action
        self.skipped: list[Row] = []

    def add(self, where: str, error: InputError, row: Any) -> None:
        """Take a bad row: a dict, or the text of a line. Raises `error` unless rows are skipped."""
        if self.action == "fail":
            raise error
        self.leave_out(where, str(error).removeprefix(f"{where}: "), row)

    def leave_out(self, where: str, reason: str, row: Any) -> None:
        """Keep a row that is well formed and holds nothing to use, whatever happens to bad ones."""
        form = "row" if isinstance(row, dict) and _is_json(row) else "text"
        content = row if form == "row" or isinstance(row, str) else repr(row)
        self.skipped.append({"where": where, "reason": reason, form: content})

    def reasons(self) -> dict[str, int]:
        """The most frequent reasons, with how many rows each has."""
        return dict(Counter(row["reason"] for row in self.skipped).most_common(SHOWN_REASONS))

    def summary(self) -> str:
        """In a sentence how many rows were skipped, and where and why the first was."""
        first = self.skipped[0]
        were = "row was" if len(self.skipped) == 1 else "rows were"
        return f"{len(self.skipped)} {were} skipped, first {first['where']}: {first['reason']}"


class _Strict(BadRows):
    def leave_out(self, where: str, reason: str, row: Any) -> None:
        """Nothing: nobody would read it."""


STRICT: BadRows = _Strict()
"""For readers without bad rows of their own: the first one ends the reading, and rows that hold
nothing to use are not kept."""


def _is_json(row: Row) -> bool:
    try:
        json.dumps(row, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
