"""`genprm label --estimate`: what a labelling job will cost, estimated from a sample of it."""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.stages.label import label, solutions_to_label
from genprm.config.root import Config
from genprm.data import storage
from genprm.data.bad_rows import BadRows
from genprm.data.rows import FailedRow, read_rows, write_jsonl
from genprm.errors import ConfigError, InputError
from genprm.records import LabelCost, Row, content_id
from genprm.report.tables import TableRow
from genprm.util.stats import Estimate, total


@dataclass(frozen=True, slots=True)
class Price:
    """What `rows` solutions cost, estimated from `sample` of them.

    `seconds` is the time of labelling at the sample's own speed, without the engines' start.
    """

    rows: int
    sample: int
    failed: int  # of the sample
    settled: int  # of the sample: solutions whose first error, or absence of one, is known
    rollouts: Estimate
    completion_tokens: Estimate
    prompt_tokens: Estimate
    seconds: float
    engines: int
    skipped: int = 0  # rows that cannot be labelled, beside `rows`

    def table(self) -> list[TableRow]:
        """A row per cost, with 95 % bounds."""
        costs = {
            "rollouts": self.rollouts,
            "generated tokens": self.completion_tokens,
            "prompt tokens": self.prompt_tokens,
        }
        return [
            {
                "all rows": name,
                "estimate": cost.value,
                "low": cost.low,
                "high": cost.high,
                "per solution": None if cost.value is None else cost.value / self.rows,
            }
            for name, cost in costs.items()
        ]

    def summary(self) -> str:
        """Time and labels in a sentence."""
        return (
            f"{self.rows:,} solutions: about {self.seconds / 3600:.2f} hours on {self.engines} "
            f"engine(s) at the speed of the sample of {self.sample}, which is too short to fill "
            f"them; of the sample, {self.settled} were settled and {self.failed} failed"
            + (f"; {self.skipped:,} bad rows would be skipped" if self.skipped else "")
        )


def price_of_labels(config: Config, solutions: Sequence[str], out: str, sample: int) -> Price:
    """Label `sample` solutions, drawn by a hash of their ids, and extrapolate.

    Works in a folder beside `out`, where all nodes can reach it, and leaves nothing there.

    Raises:
        ConfigError: `sample` is below 1.
        InputError, StageError: as `cluster.stages.label.label`.
    """
    if sample < 1:
        raise ConfigError(f"--estimate {sample}: at least 1")
    bad = BadRows(config.on_bad_row)
    count, drawn = draw_sample(solutions_to_label(config, solutions, bad), sample)
    if not drawn:
        skipped = f"; {bad.summary()}" if bad.skipped else ""
        raise InputError(f"{' '.join(solutions)}: no rows to label{skipped}")
    folder = f"{storage.absolute(out.rstrip('/'))}.estimate-{uuid.uuid4().hex[:8]}"
    try:
        write_jsonl(f"{folder}/sample.jsonl", drawn)
        report = label(config, [f"{folder}/sample.jsonl"], f"{folder}/labels.jsonl")
        rows = [row for row in read_rows(report.out) if row["error"] is None]
    finally:
        storage.remove(folder)
    costs = [LabelCost.model_validate(row["cost"]) for row in rows]
    return Price(
        rows=count,
        sample=len(drawn),
        failed=len(drawn) - len(rows),
        settled=sum(row["unlabelled_reason"] is None for row in rows),
        rollouts=total([cost.rollouts for cost in costs], count),
        completion_tokens=total([cost.completion_tokens for cost in costs], count),
        prompt_tokens=total([cost.prompt_tokens for cost in costs], count),
        seconds=report.seconds / len(rows) * count,
        engines=config.runtime.engine_replicas,
        skipped=len(bad.skipped),
    )


def draw_sample(rows: Iterable[Row], size: int) -> tuple[int, list[Row]]:
    """How many rows there are to label, and `size` of them, the same ones every time."""
    count = 0

    def keyed() -> Iterable[tuple[str, int, Row]]:
        nonlocal count
        for row in rows:
            if not isinstance(row, FailedRow):
                yield content_id("estimate", row["id"]), count, row
                count += 1

    smallest = heapq.nsmallest(size, keyed())
    return count, [row for _, _, row in smallest]
