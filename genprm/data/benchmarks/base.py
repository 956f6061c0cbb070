"""The benchmarks by name, and how their rows are known among others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from genprm.data.bad_rows import BadRows
from genprm.data.benchmarks import bigbench_mistake, mr_ben, mr_gsm8k, prmbench, processbench
from genprm.data.rows import LocatedRow
from genprm.errors import InputError
from genprm.records import Row, content_id


class Benchmark(NamedTuple):
    """The columns that only rows of the benchmark have together, and how to read such a row, whose
    place is the second argument."""

    columns: frozenset[str]
    read: Callable[[Row, str], Row]


BENCHMARKS: dict[str, Benchmark] = {
    "processbench": Benchmark(frozenset({"problem", "steps", "label"}), processbench.read),
    "prmbench": Benchmark(frozenset({"modified_process", "error_steps"}), prmbench.read),
    "mr_gsm8k": Benchmark(
        frozenset({"model_output_steps", "model_output_solution_first_error_step"}), mr_gsm8k.read
    ),
    "mr_ben": Benchmark(
        frozenset({"Model_Solution_Steps", "Model_Solution_First_Error_Step"}), mr_ben.read
    ),
    "bigbench_mistake": Benchmark(
        frozenset({"input", "steps", "mistake_index"}), bigbench_mistake.read
    ),
}


def as_evaluation_rows(rows: Iterable[LocatedRow], bad: BadRows) -> Iterator[LocatedRow]:
    """The rows, those of a benchmark as evaluation rows; others stay as they are.

    Ids of benchmarks are not always unique: the second solution under an id gets `#2` after it, and
    so on. `bad` takes rows that contradict themselves, and copies of earlier rows.
    """
    texts: dict[str, list[str]] = {}
    for where, raw in rows:
        benchmark = _benchmark_of(raw)
        if benchmark is None:
            unnamed = "source" in raw and raw["source"] is None  # Parquet has null for no column
            yield LocatedRow(where, {k: v for k, v in raw.items() if k != "source" or not unnamed})
            continue
        try:
            row = benchmark.read(raw, where)
            if row.get("id"):
                seen = texts.setdefault(str(row["id"]), [])
                text = content_id(row["problem"], row["steps"])
                if text in seen:
                    raise InputError(f"id {row['id']!r} occurs a second time, with the same steps")
                seen.append(text)
                row["id"] = f"{row['id']}#{len(seen)}" if len(seen) > 1 else str(row["id"])
        except InputError as error:
            bad.add(where, error.at(where), raw)
        else:
            yield LocatedRow(where, row)


def _benchmark_of(row: Row) -> Benchmark | None:
    if row.get("first_error") is not None:
        return None
    return next((each for each in BENCHMARKS.values() if each.columns <= row.keys()), None)
