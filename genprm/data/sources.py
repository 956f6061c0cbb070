"""What stages read: rows from files, hubs and built-in tasks, validated one by one as they stream.

An invalid row is refused here, with its file and line, before an engine starts; `BadRows` says
whether that ends the reading. Knows records and their ids, not what a stage does with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import Field

from genprm import tasks
from genprm.data.bad_rows import STRICT, BadRows
from genprm.data.benchmarks.base import as_evaluation_rows
from genprm.data.formats.base import FORMATS
from genprm.data.rows import FailedRow, LocatedRow, located_rows, validate_row
from genprm.errors import ConfigError, InputError
from genprm.labeling.labels import is_decided
from genprm.records import (
    EvaluationRow,
    Identified,
    LabelledSolution,
    Problem,
    Record,
    Row,
    Solution,
    content_id,
)
from genprm.steps import split
from genprm.verifiers import verifier_for

R = TypeVar("R", bound=Record)


class ScoreRow(Identified):
    """A solution to score: a problem and its steps."""

    problem: str = Field(min_length=1)
    steps: list[str] = Field(min_length=1)


def records(
    sources: Sequence[str],
    model: type[R],
    check: Callable[[R, str], None],
    prepare: Callable[[Row, str], Row] | None = None,
    bad: BadRows = STRICT,
) -> Iterator[Row]:
    """The rows of sources, streamed and validated as `validate_rows` does."""
    rows = (row for source in sources for row in locate_rows(source, bad))
    return validate_rows(rows, model, check, prepare, bad)


def validate_rows(
    rows: Iterable[LocatedRow],
    model: type[R],
    check: Callable[[R, str], None],
    prepare: Callable[[Row, str], Row] | None = None,
    bad: BadRows = STRICT,
) -> Iterator[Row]:
    """Rows that are records of one kind with unique ids, one by one.

    A row that does not fit the record but has the `error` of an earlier stage becomes a
    `FailedRow`. These come last, without those that have the id of another row: of one that an
    earlier stage worked on again.

    Args:
        check: called with each record and its place; raises InputError for one that will not do.
        prepare: called with each row and its place, before it is validated; returns the row.
        bad: takes the rows that do not fit.

    Raises:
        InputError: names the file, the line and the field, unless `bad` skips rows.
    """
    seen: set[str] = set()
    failures: list[FailedRow] = []
    for where, raw in rows:
        try:
            row = _validate_row(raw, model, check, prepare, where)
            if isinstance(row, FailedRow):
                failures.append(row)
                continue
            if row["id"] in seen:
                raise InputError(f"{where}: id {row['id']!r} occurs a second time{_own_id(raw)}")
        except InputError as error:
            bad.add(where, error, raw)
            continue
        seen.add(row["id"])
        yield row
    for failure in failures:
        if failure["id"] in seen:
            reason = f"it failed in an earlier stage ({failure['error']}), and another row has its "
            bad.leave_out(failure.where, f"{reason}id {failure['id']!r}", failure)
        else:
            seen.add(failure["id"])
            yield failure


def _own_id(raw: Row) -> str:
    """What to add where a row has no id, and has been given one of its content."""
    has_id = raw.get("id") not in (None, "")
    return "" if has_id else " (the row has none of its own: an earlier row says the same)"


def _validate_row(
    raw: Row,
    model: type[R],
    check: Callable[[R, str], None],
    prepare: Callable[[Row, str], Row] | None,
    where: str,
) -> Row:
    try:
        record = validate_row(prepare(raw, where) if prepare else raw, model, where)
    except InputError:
        if isinstance(raw.get("error"), str) and isinstance(raw.get("id"), str):
            return FailedRow(raw, where)
        raise
    _check_texts(record, where)
    check(record, where)
    return record.row()


def _check_texts(record: Record, where: str) -> None:
    """InputError for half of a character, of a text that was cut: no tokenizer takes it."""
    steps = getattr(record, "steps", None) or ()
    fields = {"problem": getattr(record, "problem", "")}
    fields |= {f"steps[{number}]": step for number, step in enumerate(steps)}
    for name, text in fields.items():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            message = f"half of a character at position {error.start}"
            raise InputError(message, field=name, place=where) from None


def problems(sources: Sequence[str], bad: BadRows = STRICT) -> Iterator[Row]:
    """Problems with an answer that a verifier can check; `bad` takes other rows, here and below."""
    return records(sources, Problem, _verifiable, bad=bad)


def solutions(
    sources: Sequence[str],
    splitter: str | None = None,
    temperature: float | None = None,
    bad: BadRows = STRICT,
) -> Iterator[Row]:
    """Solutions of problems with an answer, no step of them blank.

    Args:
        splitter: the only one by which a recorded solution may be split.
        temperature: the only one at which a recorded solution may be sampled.
    """

    def check(solution: Solution, where: str) -> None:
        _labellable(solution, where)
        check_splitter(solution, splitter, where)
        sampled = solution.temperature
        if temperature is not None and sampled is not None and sampled != temperature:
            raise InputError(
                f"sampled at {sampled:g}, and label.temperature is {temperature:g}: label.reuse "
                "counts both together, which would be biased",
                field="temperature",
                place=where,
            )

    return records(sources, Solution, check, bad=bad)


def labelled_solutions(
    sources: Sequence[str],
    rule_writer: bool,
    splitter: str | None = None,
    bad: BadRows = STRICT,
) -> Iterator[Row]:
    """Labelled solutions; for the rule writer only those of built-in tasks. `splitter` is the only
    one by which a recorded solution may be split."""

    def check(solution: LabelledSolution, where: str) -> None:
        if rule_writer:
            _rule_writable(solution, where)
        check_splitter(solution, splitter, where)

    return records(sources, LabelledSolution, check, bad=bad)


def solutions_to_score(
    sources: Sequence[str], splitter: str, bad: BadRows = STRICT
) -> Iterator[Row]:
    """Rows with `problem` and `steps`, or with `solution`, a text that the splitter cuts.

    InputError if the row records another splitter for its text."""

    def with_steps(row: Row, where: str) -> Row:
        if row.get("steps") is None and isinstance(row.get("solution"), str):
            _same_splitter(row.get("splitter"), splitter, where)
            return {**row, "steps": split(row["solution"], splitter)}
        return row

    return records(sources, ScoreRow, check_steps, with_steps, bad)


def check_splitter(record: Record, splitter: str | None, where: str) -> None:
    """InputError if a record has a column `splitter` that names another; None allows all."""
    _same_splitter(getattr(record, "splitter", None), splitter, where)


def _same_splitter(recorded: Any, splitter: str | None, where: str) -> None:
    if None not in (recorded, splitter) and recorded != splitter:
        raise InputError(
            f"split by {recorded!r}, and the config's splitter is {splitter!r}",
            field="splitter",
            place=where,
        )


def check_steps(record: Any, where: str) -> None:
    """InputError if a step is blank."""
    for index, step in enumerate(record.steps):
        if not step.strip():
            raise InputError(f"{where}: field 'steps[{index}]': an empty step")


def check_evaluation(row: EvaluationRow, where: str) -> None:
    """InputError if a step is blank, or labels leave open where the first error is."""
    check_steps(row, where)
    labels = (row.model_extra or {}).get("labels")
    if row.first_error < 0 and isinstance(labels, list) and not is_decided(labels):
        raise InputError("they leave the first error open", field="labels", place=where)


def locate_rows(source: str, bad: BadRows = STRICT) -> Iterable[LocatedRow]:
    """The rows of a source, each with its place; `bad` takes those that cannot be read.

    A source may be `task:NAME?n=..&seed=..`, or a file in the format of another project,
    `FORMAT:FILE`, such as `prm800k:phase2_train.jsonl?neutral=null`.
    """
    if source.partition(":")[0] in FORMATS:
        return _converted(source, bad)
    if not source.startswith(tasks.PREFIX):
        return located_rows(source, bad)
    generated = enumerate(tasks.load(source), 1)
    return (LocatedRow(f"{source}:{number}", problem.row()) for number, problem in generated)


def rows_to_evaluate(sources: Sequence[str], bad: BadRows) -> Iterator[LocatedRow]:
    """The rows of sources, those of published benchmarks (`BENCHMARKS`) as evaluation rows; not
    validated."""
    return as_evaluation_rows((row for source in sources for row in locate_rows(source, bad)), bad)


def _converted(source: str, bad: BadRows) -> Iterator[LocatedRow]:
    """Labelled solutions out of rows of another format; one row may hold several, or none, and is
    then left out with that as the reason."""
    name, _, path = source.partition(":")
    path, _, query = path.partition("?")
    options: dict[str, Any] = {
        key: {"true": True, "false": False}.get(value, value)
        for key, value in parse_qsl(query, keep_blank_values=True)
    }
    allowed = FORMATS[name].options
    for key, value in options.items():
        if value not in allowed.get(key, ()):
            names = ", ".join(f"{k}={'|'.join(map(str, v)).lower()}" for k, v in allowed.items())
            raise ConfigError(f"{source}: unknown option {key}={value}; known: {names or 'none'}")
    for position, (where, raw) in enumerate(located_rows(path, bad)):
        try:
            solutions = list(FORMATS[name].read(raw, **options))
        except InputError as error:
            bad.add(where, error.at(where), raw)
            continue
        if not solutions:
            bad.leave_out(where, f"no solution in this row of {name}", raw)
        # several rows may have the same text, so its hash alone does not identify one
        own_id = raw.get("id") or f"{content_id(raw)}-{position}"
        for number, solution in enumerate(solutions):
            row_id = f"{own_id}-{number}" if number else str(own_id)
            yield LocatedRow(where, {**solution.row(), "id": row_id})


def _verifiable(problem: Problem, where: str) -> None:
    try:
        verifier_for(problem)
    except InputError as error:
        raise error.at(where) from None


def _labellable(solution: Solution, where: str) -> None:
    _verifiable(solution, where)
    check_steps(solution, where)


def _rule_writable(solution: LabelledSolution, where: str) -> None:
    if solution.task not in tasks.TASKS:
        names = ", ".join(sorted(tasks.TASKS))
        raise InputError(
            f"{where}: field 'task': the rule writer knows {names}, not {solution.task!r}; use "
            "distill.writer=teacher"
        )
