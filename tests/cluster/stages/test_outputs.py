"""Claiming, resuming and finishing an output, without Ray."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.stages import outputs
from cluster.stages.outputs import Identity, Output
from genprm.data import storage
from genprm.data.bad_rows import BadRows
from genprm.data.rows import FailedRow, read_rows
from genprm.errors import ConfigError, InputError

ROWS = [{"id": f"r{i}", "n": i} for i in range(5)]
DECIDES = {"seed": 0, "solve.top_p": 1.0, "engine.extra": {}}
IDENTITY = Identity("solve", DECIDES)
OTHER = Identity("solve", DECIDES | {"solve.top_p": 0.5, "engine.extra": {"a": 1}})


def result(index: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"r{index}",
        "index": index,
        "row": json.dumps([{"n": index}]),
        "error": None,
        **dict.fromkeys(outputs.COST_COLUMNS, 1),
        "started": float(index),
        "seconds": 1.0,
        **more,
    }


def add_part(output: Output, name: str, indices: list[int]) -> None:
    storage.make_folder(output.rows)
    table = pa.Table.from_pylist([result(i) for i in indices], schema=outputs.RESULT_SCHEMA)
    storage.write_table(f"{output.rows}/{name}.parquet", table)


def commit(output: Output, *ids: str) -> None:
    """What Ray Data's checkpoint writes once rows are safe."""
    storage.make_folder(output.checkpoint)
    storage.write_table(f"{output.checkpoint}/a.parquet", pa.table({"id": list(ids)}))
    pending = pa.table({"id": ["not yet"]})
    storage.write_table(f"{output.checkpoint}/b.pending.parquet", pending)


def test_results_come_in_input_order_from_interleaved_parts(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    add_part(output, "b", [0, 1, 7])
    add_part(output, "a", [9, 8, 3])
    add_part(output, "d", [2, 4, 5, 6])
    assert [r.index for r in output.results()] == list(range(10))


def test_an_input_is_staged_once_and_another_one_is_refused(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    digest = output.stage(ROWS, "x")
    assert digest.rows == 5
    staged = list(read_rows(output.input))
    assert [row["id"] for row in staged] == [row["id"] for row in ROWS]
    commit(output, "r0", "r1")
    assert output.done_rows() == 2
    assert output.stage(ROWS, "x") == digest
    with pytest.raises(ConfigError, match=r"out\.jsonl\.parts belongs to another input"):
        output.stage(ROWS[:4], "x")
    another = r"belongs to another config \(solve\.top_p is 1\.0 there and 0\.5 here\)"
    with pytest.raises(ConfigError, match=another):
        Output(output.out, OTHER).existing()
    with pytest.raises(ConfigError, match=r"belongs to another stage \(solve\)"):
        Output(output.out, Identity("label", DECIDES)).existing()


@pytest.mark.parametrize("finished", [False, True])
def test_an_output_of_an_earlier_version_is_refused_with_the_reason(
    tmp_path: Path, finished: bool
) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    output.stage(ROWS, "x")
    commit(output, "r0")
    if finished:
        output.write(ROWS)
        output.seal({"report": {}})
    path = Path(output.meta_path if finished else f"{output.work}/state.json")
    record = json.loads(path.read_text())
    del record["decides"]
    path.write_text(json.dumps(record | {"fingerprint": "abc"}))
    with pytest.raises(ConfigError) as caught:
        Output(output.out, IDENTITY).existing()
    message = str(caught.value)
    assert "an earlier version of genprm wrote it" in message and "\n" not in message


def test_a_finished_output_of_another_config_names_what_differs(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    output.stage(ROWS, "x")
    output.write(ROWS)
    output.seal({"report": {}})
    with pytest.raises(ConfigError, match=r"solve\.top_p is 1\.0 there and 0\.5 here"):
        Output(output.out, OTHER).existing()


def test_skipped_rows_are_part_of_the_input(tmp_path: Path) -> None:
    def reading(*skipped: Any) -> tuple[Any, BadRows]:
        bad = BadRows("skip")

        def rows() -> Any:
            yield from ROWS
            for row in skipped:
                bad.add("x:1", InputError("odd"), row)

        return rows(), bad

    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    rows, bad = reading({"id": "odd"}, "[1]")
    digest = output.stage(rows, "x", bad)
    assert digest.rows == 5 and len(bad.skipped) == 2
    commit(output, "r0")
    rows, bad = reading({"id": "odd"}, "[1]")
    assert output.stage(rows, "x", bad) == digest and len(bad.skipped) == 2
    for others in ((), ({"id": "odd"},), ({"id": "odd"}, "[2]")):
        with pytest.raises(ConfigError, match="belongs to another input"):
            output.stage(reading(*others)[0], "x", reading(*others)[1])
    everything = BadRows("skip")
    everything.add("x:1", InputError("x:1: odd"), {})
    with pytest.raises(
        InputError, match="y: no rows to work on; 1 row was skipped, first x:1: odd"
    ):
        Output(str(tmp_path / "other.jsonl"), IDENTITY).stage([], "y", everything)
    (skipped,) = read_rows(tmp_path / "other.jsonl.skipped.jsonl")  # not lost with the stage
    assert skipped["where"] == "x:1"


def test_rows_with_half_a_character_can_be_staged(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    output.stage([{"id": "a", "extra": "\ud800"}], "x")
    (staged,) = read_rows(output.input)
    assert json.loads(staged["row"])["extra"] == "\ud800"


def test_an_unfinished_output_without_a_result_claims_nothing(tmp_path: Path) -> None:
    Output(str(tmp_path / "out.jsonl"), OTHER).stage(ROWS, "x")
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    assert output.existing()[0] is None
    assert output.stage(ROWS[:3], "y").rows == 3
    assert len(list(read_rows(output.input))) == 3


def test_staging_that_was_cut_off_starts_over(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)

    def cut_off() -> Any:
        yield ROWS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        output.stage(cut_off(), "x")
    assert output.stage(ROWS, "x").rows == 5


def test_a_kill_before_the_state_is_written_leaves_an_output_that_runs(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    with output.locked():
        pass
    (Path(output.work) / "state.json.tmp").write_text("{")
    assert output.existing() == (None, None)
    assert output.stage(ROWS, "x").rows == 5


def test_a_folder_of_parts_that_someone_else_made_is_left_alone(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    Path(output.work).mkdir()
    (Path(output.work) / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="is not genprm's"):
        output.existing()


@pytest.mark.parametrize("last", range(5))
def test_parts_that_were_half_removed_are_ours_and_nothing_to_go_on_with(
    tmp_path: Path, last: int
) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    output.stage(ROWS, "x")
    add_part(output, "a", [0])
    add_part(output, "b", [1])
    commit(output, "r0", "r1")
    removed: list[str] = []
    remove = storage.remove

    def killed(path: str) -> None:
        if len(removed) == last:
            for file in storage.parquet_files(path)[:1]:
                remove(file)
            raise KeyboardInterrupt
        removed.append(path)
        remove(path)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(storage, "remove", killed)
        with contextlib.suppress(KeyboardInterrupt):
            output.discard()
    again = Output(output.out, IDENTITY)
    again.existing()
    assert again.stage(ROWS, "x").rows == 5
    assert list(again.results()) == []
    assert len(list(read_rows(again.input))) == 5


def test_a_bad_row_leaves_nothing_behind(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)

    def bad() -> Any:
        yield ROWS[0]
        raise InputError("file.jsonl:2: not JSON")

    with pytest.raises(InputError):
        output.stage(bad(), "x")
    with pytest.raises(InputError, match="x: no rows"):
        output.stage([], "x")
    assert list(tmp_path.iterdir()) == []


def test_failed_rows_keep_their_reason_when_staged(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), IDENTITY)
    output.stage([ROWS[0], FailedRow({"id": "x", "error": "why"})], "x")
    assert [row["error"] for row in read_rows(output.input)] == [None, "why"]


@pytest.mark.parametrize("name", ["out.jsonl", "out"])
def test_finishing_that_was_cut_off_is_done_again(tmp_path: Path, name: str) -> None:
    output = Output(str(tmp_path / name), IDENTITY)
    output.stage(ROWS, "x")
    output.write(ROWS[:2])  # killed before `seal`
    again = Output(output.out, IDENTITY)
    meta, state = again.existing()
    assert meta is None and state is not None
    assert again.write(ROWS) == 5
    again.seal({"report": {}})
    assert list(read_rows(output.out)) == ROWS
    assert again.existing()[0] is not None
    assert not Path(output.work).exists()


def test_two_runs_cannot_write_the_same_output(tmp_path: Path) -> None:
    with (
        Output(str(tmp_path / "out.jsonl"), IDENTITY).locked(),
        pytest.raises(ConfigError, match="another run is writing"),
        Output(str(tmp_path / "out.jsonl"), IDENTITY).locked(),
    ):
        pass


def test_one_schema_over_all_files_of_a_parquet_folder(tmp_path: Path) -> None:
    chunks: list[list[dict[str, Any]]] = [
        [{"id": "a", "values": [], "cost": {"seconds": None}, "error": None}],
        [{"id": "b", "values": [None, 1], "cost": {"seconds": 1, "x": "y"}, "error": "why"}],
        [{"id": "c", "values": [0.5], "cost": {"seconds": 0.5}, "extra": [{"k": [1]}]}],
    ]
    assert storage.write_parquet_folder(str(tmp_path / "out"), chunks) == 3
    schemas = set()
    for path in storage.parquet_files(str(tmp_path / "out")):
        with storage.open_parquet(path) as file:
            schemas.add(str(file.schema_arrow))
    assert len(schemas) == 1
    rows = list(read_rows(tmp_path / "out"))
    assert [row["values"] for row in rows] == [[], [None, 1.0], [0.5]]
    assert [row["error"] for row in rows] == [None, "why", None]
    assert rows[2]["extra"] == [{"k": [1]}]


def test_columns_of_mixed_types_do_not_fit_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"write to a \.jsonl file instead"):
        storage.write_parquet_folder(str(tmp_path / "a"), [[{"x": "a"}, {"x": 1}]])
    with pytest.raises(InputError, match=r"write to a \.jsonl file instead"):
        storage.write_parquet_folder(str(tmp_path / "b"), [[{"x": "a"}], [{"x": {"y": 1}}]])


@pytest.mark.parametrize("root", ["memory://bucket/run", "local"])
def test_storage_is_the_same_on_a_disk_and_behind_a_uri(root: str, tmp_path: Path) -> None:
    root = str(tmp_path / "run") if root == "local" else root
    assert not storage.exists(root)
    assert storage.read_json(f"{root}/a.json") is None
    assert storage.parquet_files(f"{root}/rows") == []
    storage.make_folder(root)
    assert not storage.exists(root)  # an empty folder counts as absent
    storage.write_json(f"{root}/a.json", {"x": 1})
    assert storage.exists(root)
    storage.write_parquet_folder(f"{root}/new", [[{"x": 1}], [{"x": 2.5}]])
    storage.write_parquet_folder(f"{root}/rows", [[{"x": 0}]])
    storage.move(f"{root}/new", f"{root}/rows")
    assert [row["x"] for row in read_rows(f"{root}/rows")] == [1.0, 2.5]
    storage.remove(root)
    storage.remove(root)
    assert not storage.exists(root)
