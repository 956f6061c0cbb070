"""Reads and writes rows: JSONL, JSON and Parquet, files and folders, any URI that fsspec opens.

A row is a dict. `read_records` turns rows into records and says which line broke which field.
A row that cannot be read goes to `BadRows`, which ends the reading or takes it out. Knows no stage
and no meaning of any column but `id`. `hub:NAME?config=..&split=..` reads a Hugging Face dataset.
"""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from genprm.data.bad_rows import STRICT, BadRows
from genprm.errors import InputError, one_line
from genprm.records import Record, Row
from genprm.util.validation import first_problem

JSONL = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
PARQUET = (".parquet",)
JSON = (".json", ".json.gz")
SKIPPED = ".skipped.jsonl"  # after the name of an output: the rows that were skipped
HUB = "hub:"

R = TypeVar("R", bound=Record)


class LocatedRow(NamedTuple):
    """A row and its place: `file.jsonl:12`, lines and Parquet rows counted from 1."""

    where: str
    row: Row


def read_rows(path: str | Path) -> Iterator[Row]:
    """The rows of a JSONL, JSON or Parquet file, of all such files in a folder, or of `hub:NAME`.

    A folder is read for its JSONL and Parquet files, and for its JSON files where it has none of
    these. A missing path is an InputError at once; a row that cannot be read is one when it is
    reached. Blank lines are skipped.
    """
    return (located.row for located in located_rows(path))


def located_rows(path: str | Path, bad: BadRows = STRICT) -> Iterator[LocatedRow]:
    """Like `read_rows`, each row with its place for error messages; `bad` takes those that cannot
    be read. A file that is broken as a whole is an InputError, whatever happens to rows."""
    name = str(path)
    if name.startswith(HUB):
        return _checked(_hub_rows(name), bad)
    filesystem, files = _files(name)
    return (
        located for label, file in files for located in _file_rows(filesystem, label, file, bad)
    )


def read_records(path: str | Path, model: type[R], bad: BadRows = STRICT) -> list[R]:
    """All rows as records of one kind, without those that `bad` takes; see `located_records`."""
    return [record for _, record in located_records([path], model, bad)]


def located_records(
    paths: Iterable[str | Path], model: type[R], bad: BadRows = STRICT
) -> Iterator[tuple[str, R]]:
    """The rows of all paths as records of one kind, each with its place.

    Raises InputError, one line that names file, line and field, unless `bad` skips rows: for a row
    that breaks the record's format, and for an `id` that an earlier line has.
    """
    seen: dict[str, str] = {}
    for where, row in (located for path in paths for located in located_rows(path, bad)):
        try:
            record = validate_row(row, model, where)
            key = getattr(record, "id", None)
            if key is not None and key in seen:
                raise InputError(f"{where}: id {key!r} occurs a second time, first at {seen[key]}")
        except InputError as error:
            bad.add(where, error, row)
            continue
        if key is not None:
            seen[key] = where
        yield where, record


def validate_row(row: Mapping[str, Any], model: type[R], where: str) -> R:
    """The row as a record; InputError `where: field 'steps': ...` if it does not fit."""
    try:
        return model.model_validate(row)
    except ValidationError as error:
        key, message, _ = first_problem(error)
        raise InputError(f"{where}: {f'field {key!r}: ' if key else ''}{message}") from None


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as JSONL and return how many; the file appears complete or not at all.

    Raises InputError for a value that JSON has no form for (a NaN, a set).
    """
    filesystem, target = fsspec.url_to_fs(str(path))
    local = isinstance(filesystem, LocalFileSystem)
    folder = os.path.dirname(target) if local else tempfile.gettempdir()
    os.makedirs(folder, exist_ok=True)
    # Beside the target, since a rename must not cross filesystems; readers skip the leading dot.
    temporary = os.path.join(folder, f".{os.path.basename(target)}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as stream:
            count = _write_lines(stream, str(path), rows)
            stream.flush()
            os.fsync(stream.fileno())
        if local:
            os.replace(temporary, target)
        else:
            filesystem.put_file(temporary, target)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return count


def write_skipped(out: str | Path, bad: BadRows) -> str | None:
    """Write the rows that were skipped beside the output `out`, and return the file's path; None,
    and no file, where there are none."""
    if not bad.skipped:
        return None
    path = f"{out}{SKIPPED}"
    write_jsonl(path, bad.skipped)
    return path


def _write_lines(stream: IO[bytes], name: str, rows: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    for count, row in enumerate(rows, 1):
        try:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name}: row {count} cannot be written as JSON: {error}") from None
        # A lone surrogate has no UTF-8; its backslash form is also its JSON escape.
        stream.write(line.encode("utf-8", "backslashreplace") + b"\n")
    return count


def _files(name: str) -> tuple[Any, list[tuple[str, str]]]:
    """The filesystem and its files to read, as (name for messages, path), in a stable order."""
    try:
        filesystem, root = fsspec.url_to_fs(name)
    except (ValueError, ImportError) as error:
        raise InputError(f"{name}: {one_line(error)}") from None
    if filesystem.isfile(root):
        if not root.endswith((*JSONL, *PARQUET, *JSON)):
            raise InputError(f"{name}: not a .jsonl or .parquet file, nor a .json one")
        return filesystem, [(name, root)]
    if not filesystem.isdir(root):
        raise InputError(f"{name}: no such file or folder")
    visible = [file for file in filesystem.find(root) if not _hidden(_below(root, file))]
    rows = [f for f in visible if f.endswith((*JSONL, *PARQUET)) and not f.endswith(SKIPPED)]
    # beside rows .json files are about them (meta records, metrics)
    paths = sorted(rows or (file for file in visible if file.endswith(JSON)))
    if not paths:
        raise InputError(f"{name}: no .jsonl or .parquet file in this folder, nor a .json one")
    return filesystem, [(f"{name.rstrip('/')}/{_below(root, path)}", path) for path in paths]


def _hidden(path: str) -> bool:
    """Whether any part of the path is a tool's own: `.tmp`, `_checkpoint/..`."""
    return any(part.startswith((".", "_")) for part in path.split("/"))


def _below(root: str, file: str) -> str:
    return file[len(root.rstrip("/")) + 1 :]


def _file_rows(filesystem: Any, name: str, file: str, bad: BadRows) -> Iterator[LocatedRow]:
    try:
        if file.endswith(PARQUET):
            with filesystem.open(file, "rb") as stream:
                yield from _checked(_parquet_rows(stream, name), bad)
        else:
            read = _json_rows if file.endswith(JSON) else _jsonl_rows
            with filesystem.open(file, "rb", compression="infer") as stream:
                yield from read(stream, name, bad)
    except (EOFError, OSError, zlib.error) as error:  # a download that was cut, a disk
        raise InputError(f"{name}: not readable: {_first_line(error)}") from None


def _jsonl_rows(stream: IO[bytes], name: str, bad: BadRows) -> Iterator[LocatedRow]:
    for number, raw in enumerate(stream, 1):
        where = f"{name}:{number}"
        try:
            line = raw.decode("utf-8-sig").rstrip("\r\n")  # files with a mark may be joined
            if not line.strip():
                continue
            row = _parsed(line, where)
            if not isinstance(row, dict):
                hint = "; a file that is one array ends in .json" if isinstance(row, list) else ""
                raise InputError(f"{where}: expected a JSON object, got {_json_type(row)}{hint}")
            _check_values(row, where)
        except UnicodeDecodeError as error:
            reason = InputError(f"{where}: not UTF-8 at byte {error.start}")
            bad.add(where, reason, raw.decode("utf-8", "backslashreplace").rstrip("\r\n"))
        except InputError as error:
            bad.add(where, error, line)
        else:
            yield LocatedRow(where, row)


def _json_rows(stream: IO[bytes], name: str, bad: BadRows) -> Iterator[LocatedRow]:
    """The rows of a JSON file: an array of objects, an object whose values are such arrays (Mr-Ben
    has one per question), a single object, or JSON lines under another name."""
    raw = stream.read()
    try:
        document = _parsed(raw.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 at byte {error.start}") from None
    except InputError as error:
        if not _are_lines(raw):
            raise error from None
        yield from _jsonl_rows(io.BytesIO(raw), name, bad)
        return
    rows: list[Any] = document if isinstance(document, list) else [document]
    if isinstance(document, dict) and _are_groups(document.values()):
        rows = [row for group in document.values() for row in group]
    for number, row in enumerate(rows, 1):
        where = f"{name}:{number}"
        try:
            if not isinstance(row, dict):
                raise InputError(f"{where}: expected a JSON object, got {_json_type(row)}")
            _check_values(row, where)
        except InputError as error:
            bad.add(where, error, row)
        else:
            yield LocatedRow(where, row)


def _are_lines(raw: bytes) -> bool:
    """Whether the first line that is not blank is JSON by itself, as in a file of lines."""
    first = next((line for line in raw.split(b"\n") if line.strip()), b"")
    try:
        json.loads(first.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return True


def _are_groups(values: Iterable[Any]) -> bool:
    """Whether the values of an object are lists of rows, of which some may be empty. One thing that
    is no row makes a bad row, not another kind of file."""
    groups = [value for value in values if value != []]
    return bool(groups) and all(
        isinstance(group, list) and any(isinstance(row, dict) for row in group) for group in groups
    )


class _Repeating(dict[str, Any]):
    """An object of JSON that has one name with two values; `name` is the first such one."""

    name: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        for name, value in pairs:
            if record[name] != value:
                record = _Repeating(pairs)
                record.name = name
                break
    return record


def _parsed(text: str, where: str) -> Any:
    """The JSON value of a text. Raises InputError where it is none."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        # a line has no place but its column; a file of one array has many lines
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise InputError(f"{where}: not JSON: {error.msg} at {line}column {error.colno}") from None
    except (ValueError, RecursionError) as error:  # a giant number, or very deep nesting
        raise InputError(f"{where}: not readable JSON: {error}") from None


def _check_values(row: Row, where: str) -> None:
    """InputError for what no output could hold, or what would be lost: a number that is none, a
    name with two values."""
    try:
        flaw = _flaw(row, "")
    except RecursionError as error:
        raise InputError(f"{where}: not readable JSON: {error}") from None
    if flaw:
        raise InputError(flaw[1], field=flaw[0] or None, place=where)


def _flaw(value: Any, path: str) -> tuple[str, str] | None:
    """Field and message of the first flaw in a value, None without one."""
    if isinstance(value, float) and not math.isfinite(value):
        return path, f"{value} is no number in JSON: write null"
    if isinstance(value, bytes):  # of Parquet; texts may be stored so
        try:
            value.decode()
        except UnicodeDecodeError:
            return path, "bytes that are no text"
    if isinstance(value, _Repeating):
        return path, f"the name {value.name!r} occurs twice, with different values"
    if isinstance(value, dict):
        inner = ((f"{path}.{key}" if path else str(key), each) for key, each in value.items())
    elif isinstance(value, list):
        inner = ((f"{path}[{number}]", each) for number, each in enumerate(value))
    else:
        return None
    return next((flaw for at, each in inner if (flaw := _flaw(each, at))), None)


def _checked(rows: Iterable[LocatedRow], bad: BadRows) -> Iterator[LocatedRow]:
    """The rows without those that have a flaw, which `bad` takes."""
    for located in rows:
        try:
            _check_values(located.row, located.where)
        except InputError as error:
            bad.add(located.where, error, located.row)
        else:
            yield located


def _parquet_rows(stream: IO[bytes], name: str) -> Iterator[LocatedRow]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(stream).iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield LocatedRow(f"{name}:{number}", row)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{name}: not a readable Parquet file: {_first_line(error)}") from None


def _hub_rows(name: str) -> Iterator[LocatedRow]:
    """`hub:org/dataset?config=main&split=test`; the split defaults to `train`."""
    import datasets

    dataset, _, query = name.removeprefix(HUB).partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(options) - {"config", "split", "revision"})
    if unknown:
        raise InputError(
            f"{name}: unknown option '{unknown[0]}': known are config, split, revision"
        )
    try:
        rows = datasets.load_dataset(
            dataset,
            options.get("config"),
            split=options.get("split", "train"),
            revision=options.get("revision"),
        )
    except (ValueError, OSError) as error:  # unknown name, config or split; no network
        raise InputError(f"{name}: {_first_line(error)}") from None
    return (LocatedRow(f"{name}:{number}", dict(row)) for number, row in enumerate(rows, 1))


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an array")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


class FailedRow(dict[str, Any]):
    """A row that failed in an earlier stage, with the reason in `error`: no stage works on it,
    it is carried through and counted. `where` is its place."""

    def __init__(self, row: Row, where: str = ""):
        super().__init__(row)
        self.where = where
