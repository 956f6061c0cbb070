"""What a stage did, and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from genprm.data.bad_rows import BadRows
from genprm.data.rows import write_skipped
from genprm.generation import Usage


@dataclass(frozen=True, slots=True)
class Report:
    """What a stage did, summed over all rows and all runs of its output.

    `sequence_ms` is the time from request to answer, summed over all sequences requested: divided
    by the seconds it says how many were in flight, waiting ones included. Above the engine's slots
    the engine was full; far below, it idled. `resent` is how often a request had to be sent to a
    server again. `rows_in` is without the `skipped` rows, which the file `skipped_in` holds.
    """

    stage: str
    out: str
    rows_in: int
    rows_out: int
    failed: int
    errors: dict[str, int]  # the most frequent reasons
    usage: Usage
    seconds: float  # in which at least one row was worked on
    details: dict[str, Any]  # what the stage itself counts
    already_done: bool = False
    sequence_ms: int = 0
    resent: int = 0
    skipped: int = 0
    skip_reasons: dict[str, int] = field(default_factory=dict)  # the most frequent
    skipped_in: str | None = None

    def record(self) -> dict[str, Any]:
        """The report as meta.json has it, its usage among the other entries."""
        record: dict[str, Any] = {}
        for name, value in asdict(self).items():
            record |= value if name == "usage" else {name: value}
        return record

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Report:
        """The report of an entry of meta.json."""
        counts = {each.name for each in fields(Usage)}
        usage = Usage(**{name: record[name] for name in counts})
        return cls(usage=usage, **{k: v for k, v in record.items() if k not in counts})


def add_skipped(report: Report, bad: BadRows) -> Report:
    """The report with the rows that were skipped, if any, which are written beside its output: all
    of them, for a run that is resumed reads its whole input again."""
    path = write_skipped(report.out, bad)
    count, reasons = len(bad.skipped), bad.reasons()
    return replace(report, skipped=count, skip_reasons=reasons, skipped_in=path)
