"""From the results of a stage to the files of its finished output, with what they hold counted.

Results come in input order and are streamed, so that an output may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cluster.stages.outputs import Result
from genprm.config.root import Config
from genprm.records import Row


def all_rows(results: Iterable[Result]) -> Iterator[Row]:
    """Every row of every result, each with an `error` column that is null where all went well."""
    for result in results:
        for row in result.rows:
            yield {**row, "error": result.error}


class Collector:
    """Makes the rows of an output, and counts what is in them; this one takes all rows uncounted.

    A stage whose rows need more has a subclass in its own file.
    """

    def __init__(self, config: Config):
        self.config = config

    def rows(self, results: Iterable[Result]) -> Iterator[Row]:
        """The rows of the output."""
        return all_rows(results)

    def summary(self) -> dict[str, Any]:
        """Counts over the rows that `rows` gave so far, for the meta record and the terminal."""
        return {}


@dataclass(frozen=True, slots=True)
class Aside:
    """A second file of a stage, OUT.name: rows as JSONL, or the page that they make."""

    name: str
    rows: Callable[[Iterable[Result]], Iterable[Row]]
    page: Callable[[list[Row]], str] | None = None
