"""What stages read: rows from files, hubs and built-in tasks, validated one by one as they stream.

Everything wrong with a row is found here, with its file and line, before anything is started.
Knows records and their ids, not what a stage does with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import Field

from genprm import tasks
from genprm.data.formats.base import FORMATS
from genprm.data.rows import FailedRow, LocatedRow, located_rows, validate_row
from genprm.errors import ConfigError, InputError
from genprm.records import Identified, LabelledSolution, Problem, Record, Solution, content_id
from genprm.steps import SPLITTERS, split
from genprm.verifiers import verifier_for

Row = dict[str, Any]
R = TypeVar("R", bound=Record)


class ScoreRow(Identified):
    """A solution to score: a problem and its steps."""

    problem: str = Field(min_length=1)
    steps: list[str] = Field(min_length=1)


def records(
    sources: Sequence[str],
    model: type[R],
    check: Callable[[R, str], None],
    prepare: Callable[[Row], Row] = dict,
) -> Iterator[Row]:
    """Rows that are records of one kind with unique ids, streamed.

    A row that is none, but carries the `error` of an earlier stage, becomes a `FailedRow`.

    Args:
        check: more to hold of a record; raises InputError, told where it stands.
        prepare: what to do to a row before it is validated.

    Raises:
        InputError: names the file, the line and the field.
    """
    seen: set[str] = set()
    for source in sources:
        for where, raw in located(source):
            row = _validated(raw, model, check, prepare, where)
            if row["id"] in seen:
                raise InputError(f"{where}: id {row['id']!r} occurs a second time")
            seen.add(row["id"])
            yield row


def _validated(
    raw: Row,
    model: type[R],
    check: Callable[[R, str], None],
    prepare: Callable[[Row], Row],
    where: str,
) -> Row:
    try:
        record = validate_row(prepare(raw), model, where)
    except InputError:
        if isinstance(raw.get("error"), str) and isinstance(raw.get("id"), str):
            return FailedRow(raw)
        raise
    check(record, where)
    return record.row()


def problems(sources: Sequence[str]) -> Iterator[Row]:
    """Problems with an answer that a verifier can check."""
    return records(sources, Problem, _verifiable)


def solutions(sources: Sequence[str]) -> Iterator[Row]:
    """Solutions of problems with an answer, no step of them blank."""
    return records(sources, Solution, _labellable)


def labelled_solutions(sources: Sequence[str], rule_writer: bool) -> Iterator[Row]:
    """Labelled solutions; for the rule writer only those of built-in tasks."""
    return records(sources, LabelledSolution, _rule_writable if rule_writer else _nothing)


def solutions_to_score(sources: Sequence[str], splitter: str) -> Iterator[Row]:
    """Rows with `problem` and `steps`, or `solution`, a text that the splitter cuts."""
    check_splitter(splitter, "score.splitter")

    def with_steps(row: Row) -> Row:
        if row.get("steps") is None and isinstance(row.get("solution"), str):
            return {**row, "steps": split(row["solution"], splitter)}
        return row

    return records(sources, ScoreRow, check_steps, with_steps)


def check_splitter(name: str, key: str) -> None:
    """ConfigError unless there is a splitter of that name."""
    if name not in SPLITTERS:
        raise ConfigError(f"{key}: no splitter {name!r}; there are {', '.join(sorted(SPLITTERS))}")


def check_steps(record: Any, where: str) -> None:
    """InputError if a step is blank."""
    for index, step in enumerate(record.steps):
        if not step.strip():
            raise InputError(f"{where}: field 'steps[{index}]': an empty step")


def located(source: str) -> Iterable[LocatedRow]:
    """The rows of a source, each with its place.

    A source may be `task:NAME?n=..&seed=..`, or data in a format of others, `FORMAT:FILE` such as
    `prm800k:phase2_train.jsonl?neutral=null`.
    """
    if source.partition(":")[0] in FORMATS:
        return _converted(source)
    if not source.startswith(tasks.PREFIX):
        return located_rows(source)
    generated = enumerate(tasks.load(source), 1)
    return (LocatedRow(f"{source}:{number}", problem.row()) for number, problem in generated)


def _converted(source: str) -> Iterator[LocatedRow]:
    """Labelled solutions out of rows of another format; one row may hold several."""
    name, _, path = source.partition(":")
    path, _, query = path.partition("?")
    options: dict[str, Any] = {
        key: {"true": True, "false": False}.get(value, value)
        for key, value in parse_qsl(query, keep_blank_values=True)
    }
    known = FORMATS[name].options
    for key, value in options.items():
        if value not in known.get(key, ()):
            told = ", ".join(f"{k}={'|'.join(map(str, v)).lower()}" for k, v in known.items())
            raise ConfigError(f"{source}: no option {key}={value}; there are: {told or 'none'}")
    for position, (where, raw) in enumerate(located_rows(path)):
        try:
            for number, solution in enumerate(FORMATS[name].read(raw, **options)):
                # the same text may stand in several rows, so its hash alone is no id
                named = raw.get("id") or f"{content_id(raw)}-{position}"
                row_id = f"{named}-{number}" if number else str(named)
                yield LocatedRow(where, {**solution.row(), "id": row_id})
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


def _verifiable(problem: Problem, where: str) -> None:
    try:
        verifier_for(problem)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _labellable(solution: Solution, where: str) -> None:
    _verifiable(solution, where)
    check_steps(solution, where)


def _rule_writable(solution: LabelledSolution, where: str) -> None:
    if solution.task not in tasks.TASKS:
        known = ", ".join(sorted(tasks.TASKS))
        raise InputError(
            f"{where}: field 'task': the rule writer knows {known}, not {solution.task!r}; use "
            "distill.writer=teacher"
        )


def _nothing(record: Record, where: str) -> None:
    """No check beyond the record's own."""
