"""File helpers over fsspec, so that any path may be a URI. Knows bytes and rows, no stages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from genprm.errors import InputError, one_line


def is_uri(path: str) -> bool:
    """Whether the path names its own filesystem (`s3://...`)."""
    return "://" in path


def absolute(path: str) -> str:
    """Local paths made absolute: Ray's workers run in other folders. URIs stay as they are."""
    return path if is_uri(path) else os.path.abspath(os.path.expanduser(path))


def exists(path: str) -> bool:
    """Whether the path is a file, or a folder that is not empty."""
    fs, inner = fsspec.core.url_to_fs(path)
    if not fs.exists(inner):
        return False
    return not fs.isdir(inner) or bool(fs.ls(inner, detail=False))


def names(folder: str) -> set[str]:
    """The names of the files and folders directly in a folder; empty if there is no folder."""
    fs, inner = fsspec.core.url_to_fs(folder)
    if not fs.exists(inner):
        return set()
    return {Path(path).name for path in fs.ls(inner, detail=False)}


def read_json(path: str) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no file."""
    fs, inner = fsspec.core.url_to_fs(path)
    if not fs.exists(inner):
        return None
    loaded: dict[str, Any] = json.loads(fs.cat_file(inner))
    return loaded


def write_json(path: str, value: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Write a JSON object or list; a reader sees the old file or the new one, never a part."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: str, text: str) -> None:
    """Write a file; a reader sees the old text or the new one, never a part."""
    fs, inner = fsspec.core.url_to_fs(path)
    fs.pipe_file(f"{inner}.tmp", text.encode())
    fs.mv(f"{inner}.tmp", inner)


def make_folder(path: str) -> None:
    """Create a folder and its parents; nothing happens if it is there."""
    fs, inner = fsspec.core.url_to_fs(path)
    fs.makedirs(inner, exist_ok=True)


def remove(path: str) -> None:
    """Remove a file or folder; nothing happens if there is none."""
    fs, inner = fsspec.core.url_to_fs(path)
    if fs.exists(inner):
        fs.rm(inner, recursive=True)


def move(source: str, target: str) -> None:
    """Move a file or folder within one filesystem; a target that exists is replaced."""
    remove(target)
    fs, inner = fsspec.core.url_to_fs(source)
    make_folder(os.path.dirname(target))
    fs.mv(inner, fsspec.core.url_to_fs(target)[1], recursive=True)


def parquet_files(folder: str) -> list[str]:
    """The Parquet files directly in a folder, sorted; empty if there is no folder."""
    fs, inner = fsspec.core.url_to_fs(folder)
    if not fs.exists(inner):
        return []
    return sorted(fs.unstrip_protocol(p) for p in fs.ls(inner, detail=False) if _is_parquet(p))


def open_parquet(path: str) -> pq.ParquetFile:
    """A Parquet file, opened for reading; close it by using it as a context."""
    return pq.ParquetFile(fsspec.open(path, "rb").open())


def write_table(path: str, table: pa.Table) -> None:
    """Write one table as one Parquet file."""
    with fsspec.open(path, "wb") as file:
        pq.write_table(table, file)


def write_parquet_folder(folder: str, chunks: Iterable[list[dict[str, Any]]]) -> int:
    """Write JSON-able rows as a Parquet folder with one schema over all files.

    Arrow infers types from what it sees: a column that is null or an empty list in one chunk
    may be filled in the next. So the chunks are written first, and rewritten with the union of
    their schemas where they differ.

    Returns:
        The number of rows.

    Raises:
        InputError: a column holds values of different types, which Parquet cannot.
    """
    make_folder(folder)
    schemas: list[pa.Schema] = []
    count = 0
    for index, chunk in enumerate(chunks):
        table = _as_table(chunk)
        schemas.append(table.schema)
        write_table(f"{folder}/part-{index:05d}.parquet", table)
        count += len(chunk)
    if not schemas:
        return 0
    try:
        union = pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _mixed_types(error) from error
    for index, schema in enumerate(schemas):
        if schema != union:
            path = f"{folder}/part-{index:05d}.parquet"
            with open_parquet(path) as file:
                rows = file.read().to_pylist()
            write_table(path, pa.Table.from_pylist(rows, schema=union))
    return count


def _as_table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = dict.fromkeys(name for row in rows for name in row)  # from_pylist looks at row 0 only
    try:
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _mixed_types(error) from error


def _mixed_types(error: Exception) -> InputError:
    detail = one_line(error, 160)
    return InputError(
        f"a column holds values of different types, write to a .jsonl file instead: {detail}"
    )


def _is_parquet(path: str) -> bool:
    name = Path(path).name
    return name.endswith(".parquet") and not name.startswith((".", "_"))
