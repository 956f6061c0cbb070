"""The output of a stage: claimed, filled part by part, finished once.

    OUT             the result: a JSONL file if the name ends in .jsonl, else a Parquet folder
    OUT.meta.json   written last: what made it, from what, at what cost
    OUT.parts/      while unfinished: state.json, input/, rows/ and checkpoint/

A finished output of the same config and input is left as it is, an unfinished one is resumed, and
any other is refused before a byte is written. Paths may be URIs. Between input and result a row
is one JSON text in a column, so that no schema depends on which rows share a file. Knows files,
not Ray or engines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from genprm.config.compare import first_difference
from genprm.data import storage
from genprm.data.bad_rows import BadRows
from genprm.data.rows import FailedRow, write_jsonl, write_skipped
from genprm.errors import ConfigError, GenprmError, InputError
from genprm.generation import Usage
from genprm.records import Row

INPUT_SCHEMA = pa.schema(
    [("id", pa.string()), ("index", pa.int64()), ("row", pa.string()), ("error", pa.string())]
)
USAGE_COLUMNS = tuple(field.name for field in dataclasses.fields(Usage))
COST_COLUMNS = (
    *USAGE_COLUMNS,
    "sequence_ms",  # milliseconds from request to answer, summed over the sequences requested
    "resent",  # how often a request had to be sent to a server again
)
RESULT_SCHEMA = pa.schema(
    [
        *INPUT_SCHEMA,  # here `row` is a JSON list: the rows that this input row became
        *((name, pa.int64()) for name in COST_COLUMNS),
        ("started", pa.float64()),  # seconds since the epoch
        ("seconds", pa.float64()),
    ]
)
STAGED_FILE_ROWS = 10_000
PARQUET_FILE_ROWS = 50_000
# in a folder of parts without state.json: a kill came before it was written, or as it was removed
LEFT_BY_A_KILL = {"lock", "state.json.tmp"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """What an output belongs to. `decides` has the settings that decide its rows, by config key
    (`Config.decides`)."""

    stage: str
    decides: Mapping[str, Any]


class InputDigest(NamedTuple):
    """How many rows went in, and the hash of all of them in order, then of those skipped."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Result:
    """The output rows of one input row; with an `error`, the row as it came in."""

    id: str
    index: int
    rows: list[Row]
    error: str | None


class Output:
    """One output of one stage: its paths, its files, and whose they are."""

    def __init__(self, out: str, identity: Identity):
        if not out.strip("/"):
            raise ConfigError(f"--out {out!r} names no file or folder")
        self.identity = identity
        self.out = storage.absolute(out.rstrip("/"))
        self.meta_path = f"{self.out}.meta.json"
        self.work = f"{self.out}.parts"
        self.input = f"{self.work}/input"
        self.rows = f"{self.work}/rows"
        self.checkpoint = f"{self.work}/checkpoint"
        self._state_path = f"{self.work}/state.json"

    def existing(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The meta record of a finished output and the state of an unfinished one.

        An unfinished one without a single result claims nothing.

        Raises:
            ConfigError: the files there belong to something else, and are left as they are. The
                message names the first setting that differs.
        """
        state = storage.read_json(self._state_path)
        if state is not None and self._has_work(state):
            self._refuse_other(state, self.work)
        if storage.exists(self.out):
            meta = storage.read_json(self.meta_path)
            if meta is not None:
                self._refuse_other(meta, self.out)
                return meta, None
            if state is None or not state["finishing"]:
                raise ConfigError(
                    f"{self.out} exists and is not a finished genprm output: nothing was "
                    "overwritten, choose another --out"
                )
        if state is None and storage.names(self.work) - LEFT_BY_A_KILL:
            raise ConfigError(f"{self.work} exists and is not genprm's: choose another --out")
        return None, state

    def check_input(
        self, meta: dict[str, Any], rows: Iterable[Row], bad: BadRows | None = None
    ) -> None:
        """Refuse (ConfigError) if a finished output was made from other rows, or skipped others."""
        if _digest(rows, bad).sha256 != meta["input"]["sha256"]:
            raise self._other("input", self.out)

    def stage(self, rows: Iterable[Row], source: str, bad: BadRows | None = None) -> InputDigest:
        """Read the whole input once and keep a copy that Ray Data can read; resumed, compare it.

        `bad` has the rows that `rows` leaves out, once these are read.

        Raises:
            ConfigError: an unfinished output belongs to another input.
            InputError: what `rows` raises, or no row at all; the parts are removed again.
        """
        state = storage.read_json(self._state_path)
        if state is not None and self._has_work(state):
            digest = _digest(rows, bad)
            if digest.sha256 != state["input"]["sha256"]:
                raise self._other("input", self.work)
            return digest
        self._start_over()
        self._write_state(source, None)
        try:
            digest = self._copy(rows, bad)
            if not digest.rows:
                raise InputError(f"{source}: no rows{self._skipped(bad)}")
        except GenprmError:
            self.discard()
            raise
        self._write_state(source, digest)
        return digest

    def _skipped(self, bad: BadRows | None) -> str:
        """What a message says of the rows that were skipped, which are written aside now."""
        path = write_skipped(self.out, bad) if bad else None
        return f" to work on; {bad.summary()}; all are in {path}" if bad and path else ""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing this output; on local storage only. The lock ends with
        the process, however that dies.

        Raises:
            ConfigError: another process is at work on it.
        """
        if storage.is_uri(self.out):
            yield
            return
        storage.make_folder(self.work)
        with open(f"{self.work}/lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(f"another run is writing {self.out}: wait or stop it") from error
            yield

    def done_rows(self) -> int:
        """How many input rows have a committed result."""
        files = storage.parquet_files(self.checkpoint)
        return sum(_row_count(f) for f in files if not f.endswith(".pending.parquet"))

    def results(self) -> Iterator[Result]:
        """The results in input order, streamed: only files whose rows interleave are open."""
        for row in _merged(storage.parquet_files(self.rows)):
            yield Result(row["id"], row["index"], json.loads(row["row"]), row["error"])

    def write(self, rows: Iterable[Row]) -> int:
        """Write the result, replacing what an earlier try left; returns the number of rows."""
        state = storage.read_json(self._state_path) or {}
        storage.write_json(self._state_path, {**state, "finishing": True})
        if self.out.endswith(".jsonl"):
            return write_jsonl(self.out, rows)
        storage.remove(f"{self.work}/result")
        count = storage.write_parquet_folder(
            f"{self.work}/result", batched(rows, PARQUET_FILE_ROWS)
        )
        storage.move(f"{self.work}/result", self.out)
        return count

    def seal(self, meta: dict[str, Any]) -> None:
        """Declare the output finished and drop the parts."""
        state = storage.read_json(self._state_path) or {}
        record = {**self._head(), "input": state["input"], **meta}
        storage.write_json(self.meta_path, record)
        self.discard()

    def _has_work(self, state: dict[str, Any]) -> bool:
        return state["input"] is not None and (state["finishing"] or self.done_rows() > 0)

    def discard(self) -> None:
        """Drop the parts. state.json is reset first and removed last, so that a kill in between
        leaves a folder which the next run recognises as its own and as empty."""
        if storage.exists(self._state_path):
            self._write_state("", None)
        self._start_over()
        storage.remove(f"{self.work}/result")
        storage.remove(self.work)

    def _start_over(self) -> None:
        for path in (self.checkpoint, self.rows, self.input):  # no row is done without its result
            storage.remove(path)

    def _copy(self, rows: Iterable[Row], bad: BadRows | None) -> InputDigest:
        storage.make_folder(self.input)
        digest = hashlib.sha256()
        count = 0
        for number, chunk in enumerate(batched(rows, STAGED_FILE_ROWS)):
            texts = [canonical(row) for row in chunk]
            for text in texts:
                digest.update(text.encode() + b"\n")
            columns = {
                "id": [row["id"] for row in chunk],
                "index": list(range(count, count + len(chunk))),
                "row": texts,
                "error": [row["error"] if isinstance(row, FailedRow) else None for row in chunk],
            }
            table = pa.table(columns, schema=INPUT_SCHEMA)
            storage.write_table(f"{self.input}/part-{number:05d}.parquet", table)
            count += len(chunk)
        _add_skipped(digest, bad)
        return InputDigest(count, digest.hexdigest())

    def _head(self) -> dict[str, Any]:
        return {"stage": self.identity.stage, "decides": dict(self.identity.decides)}

    def _write_state(self, source: str, digest: InputDigest | None) -> None:
        entry = None if digest is None else {"source": source, **digest._asdict()}
        storage.make_folder(self.work)
        storage.write_json(self._state_path, {**self._head(), "input": entry, "finishing": False})

    def _refuse_other(self, record: dict[str, Any], where: str) -> None:
        if record["stage"] != self.identity.stage:
            raise self._other(f"stage ({record['stage']})", where)
        if difference := first_difference(record.get("decides"), self.identity.decides):
            raise self._other(f"config ({difference})", where)

    def _other(self, what: str, where: str) -> ConfigError:
        return ConfigError(
            f"{where} belongs to another {what}: nothing was overwritten, choose another --out "
            "or remove it"
        )


def canonical(value: Row | list[Row]) -> str:
    """A row, or several, as one line of JSON, the same for the same content."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    # a lone surrogate has no UTF-8; its backslash form is also its JSON escape
    return text.encode("utf-8", "backslashreplace").decode()


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of up to `size` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def cost_table(output: Output) -> pa.Table:
    """The columns for cost and errors of every result so far, without the rows. A cost that an
    earlier version did not count is 0."""
    columns = ["index", "error", *COST_COLUMNS, "started", "seconds"]
    schema = pa.schema([RESULT_SCHEMA.field(name) for name in columns])
    tables = []
    for path in storage.parquet_files(output.rows):
        with storage.open_parquet(path) as file:
            table = file.read(columns=columns)
            for name in set(COST_COLUMNS) - set(table.column_names):
                table = table.append_column(name, pa.repeat(0, len(table)))
            tables.append(table.select(columns).cast(schema))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _digest(rows: Iterable[Row], bad: BadRows | None) -> InputDigest:
    digest = hashlib.sha256()
    count = 0
    for row in rows:
        digest.update(canonical(row).encode() + b"\n")
        count += 1
    _add_skipped(digest, bad)
    return InputDigest(count, digest.hexdigest())


def _add_skipped(digest: hashlib._Hash, bad: BadRows | None) -> None:
    """Add the content of skipped rows: with others the file of them would be another."""
    for row in bad.skipped if bad else ():
        content = {name: value for name, value in row.items() if name in ("row", "text")}
        digest.update(b"skipped " + canonical(content).encode() + b"\n")


def _row_count(path: str) -> int:
    with storage.open_parquet(path) as file:
        return int(file.metadata.num_rows)


def _merged(paths: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of files that are each sorted by `index`, merged by `index`."""
    waiting = sorted((_first_index(path), path) for path in paths)
    heap: list[tuple[int, int, dict[str, Any], Iterator[dict[str, Any]]]] = []
    opened = 0
    while True:
        while opened < len(waiting) and (not heap or waiting[opened][0] <= heap[0][0]):
            _push(heap, opened, _sorted_rows(waiting[opened][1]))
            opened += 1
        if not heap:
            return
        _, number, row, rest = heapq.heappop(heap)
        yield row
        _push(heap, number, rest)


def _push(heap: list[Any], number: int, rows: Iterator[dict[str, Any]]) -> None:
    row = next(rows, None)
    if row is not None:
        heapq.heappush(heap, (row["index"], number, row, rows))


def _sorted_rows(path: str) -> Iterator[dict[str, Any]]:
    with storage.open_parquet(path) as file:
        rows = file.read(columns=["id", "index", "row", "error"]).sort_by("index").to_pylist()
    return iter(rows)


def _first_index(path: str) -> int:
    with storage.open_parquet(path) as file:
        return int(min(file.read(columns=["index"])["index"].to_pylist()))
