"""How commands tell what they did. Imports what draws tables when there is one to draw."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.stages.report import Report
    from genprm.data.bad_rows import BadRows


def print_report(report: Report) -> None:
    """The result table of a stage, and what it counted, line by line."""
    from genprm.report.terminal import print_table, visible

    if report.already_done:
        print(f"{report.out} is already done; nothing to do", file=sys.stderr)
    rate = report.usage.completion_tokens / report.seconds if report.seconds else None
    row: dict[str, Any] = {
        "stage": report.stage,
        "rows in": report.rows_in,
        "rows out": report.rows_out,
        "failed": report.failed,
        "completions": report.usage.completions,
        "tokens": report.usage.completion_tokens,
        "seconds": report.seconds,
        "tokens/s": rate,
    }
    print_table([row])
    for detail, value in report.details.items():
        print(f"{detail}: {describe_counts(value)}")
    if report.resent:
        print(f"requests sent again: {report.resent}")
    for reason, count in report.errors.items():
        print(f"failed {count}: {visible(reason)}")
    print_skipped(report.skipped, report.skip_reasons, report.skipped_in)
    print(f"wrote {report.out}")


def print_skipped(count: int, reasons: Mapping[str, int], path: str | None) -> None:
    """How many bad rows were skipped, the most frequent reasons, and the file of them; nothing
    where there are none."""
    from genprm.report.terminal import visible

    if not count:
        return
    for reason, rows in reasons.items():
        print(f"skipped {rows}: {visible(reason)}")
    which = "1 bad row in all, which is" if count == 1 else f"{count} bad rows in all, which are"
    print(f"skipped {which} not counted above: see {path}")


def keep_skipped(bad: BadRows, out: str) -> None:
    """Write the rows that were skipped beside `out`, and print what `print_skipped` does."""
    from genprm.data.rows import write_skipped

    print_skipped(len(bad.skipped), bad.reasons(), write_skipped(out, bad))


def describe_counts(value: Any) -> str:
    """A count, or counts by name, as people read them."""
    from genprm.report.tables import cell_text

    if not isinstance(value, dict):
        return cell_text(value)
    parts = []
    for name, inner in value.items():
        text = describe_counts(inner)
        parts.append(f"{name.replace('_', ' ')} {f'({text})' if isinstance(inner, dict) else text}")
    return ", ".join(parts)
