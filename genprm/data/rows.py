"""Reads and writes rows: JSONL and Parquet, files and folders, any URI that fsspec opens.

A row is a dict. `read_records` turns rows into records and says which line broke which field.
Knows no stage and no meaning of any column but `id`. `hub:NAME?config=..&split=..` reads a
Hugging Face dataset.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from genprm.errors import InputError, one_line
from genprm.records import Record, Row
from genprm.util.validation import first_problem

JSONL = (".jsonl", ".jsonl.gz", ".ndjson")
PARQUET = (".parquet",)
HUB = "hub:"

R = TypeVar("R", bound=Record)


class LocatedRow(NamedTuple):
    """A row and its place: `file.jsonl:12`, lines and Parquet rows counted from 1."""

    where: str
    row: Row


def read_rows(path: str | Path) -> Iterator[Row]:
    """The rows of a JSONL or Parquet file, of all such files in a folder, or of `hub:NAME`.

    A missing path is an InputError at once; a row that cannot be read is one when it is reached.
    Blank lines are skipped.
    """
    return (located.row for located in located_rows(path))


def located_rows(path: str | Path) -> Iterator[LocatedRow]:
    """Like `read_rows`, each row with its place for error messages."""
    name = str(path)
    if name.startswith(HUB):
        return _hub_rows(name)
    filesystem, files = _files(name)
    return (located for shown, file in files for located in _file_rows(filesystem, shown, file))


def read_records(path: str | Path, model: type[R]) -> list[R]:
    """All rows as records of one kind.

    Raises InputError, one line that names file, line and field: for a row that breaks the
    record's format, and for an `id` that an earlier line has.
    """
    records: list[R] = []
    seen: dict[str, str] = {}
    for where, row in located_rows(path):
        record = validate_row(row, model, where)
        key = getattr(record, "id", None)
        if key is not None and key in seen:
            raise InputError(f"{where}: id {key!r} occurs a second time, first at {seen[key]}")
        if key is not None:
            seen[key] = where
        records.append(record)
    return records


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
        if not root.endswith((*JSONL, *PARQUET)):
            raise InputError(f"{name}: not a .jsonl or .parquet file")
        return filesystem, [(name, root)]
    if not filesystem.isdir(root):
        raise InputError(f"{name}: no such file or folder")
    paths = sorted(
        file
        for file in filesystem.find(root)
        if file.endswith((*JSONL, *PARQUET)) and not _hidden(_below(root, file))
    )
    if not paths:
        raise InputError(f"{name}: no .jsonl or .parquet file in this folder")
    return filesystem, [(f"{name.rstrip('/')}/{_below(root, path)}", path) for path in paths]


def _hidden(path: str) -> bool:
    """Whether any part of the path is a tool's own: `.tmp`, `_checkpoint/..`."""
    return any(part.startswith((".", "_")) for part in path.split("/"))


def _below(root: str, file: str) -> str:
    return file[len(root.rstrip("/")) + 1 :]


def _file_rows(filesystem: Any, name: str, file: str) -> Iterator[LocatedRow]:
    if file.endswith(PARQUET):
        with filesystem.open(file, "rb") as stream:
            yield from _parquet_rows(stream, name)
    else:
        with filesystem.open(file, "rb", compression="infer") as stream:
            yield from _jsonl_rows(stream, name)


def _jsonl_rows(stream: IO[bytes], name: str) -> Iterator[LocatedRow]:
    for number, raw in enumerate(stream, 1):
        where = f"{name}:{number}"
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            row = json.loads(line) if line.strip() else None
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: not UTF-8 at byte {error.start}") from None
        except json.JSONDecodeError as error:
            raise InputError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
        except (ValueError, RecursionError) as error:  # a giant number, or very deep nesting
            raise InputError(f"{where}: not readable JSON: {error}") from None
        if not line.strip():
            continue
        if not isinstance(row, dict):
            raise InputError(f"{where}: expected a JSON object, got {_json_type(row)}")
        yield LocatedRow(where, row)


def _parquet_rows(stream: IO[bytes], name: str) -> Iterator[LocatedRow]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(stream).iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield LocatedRow(f"{name}:{number}", row)
    except (pyarrow.ArrowInvalid, OSError) as error:
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
    it is carried through and counted."""
