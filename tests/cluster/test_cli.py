"""The command line: what it refuses, in one line and before anything starts, and what it prints."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

import cluster.commands
import pipeline_scripts
from cluster.cli import main
from cluster.commands.table import COMMANDS, STAGES, build_parser
from genprm.config.load import parse_config
from genprm.data.rows import read_rows, write_jsonl
from genprm.prompts.packs import load_pack
from places import ROOT

GOOD = {"id": "a", "problem": "1 + 1 = ?", "answer": "2", "steps": ["1 + 1 = 2"]}


@pytest.fixture(autouse=True)
def nothing_is_started(request: pytest.FixtureRequest) -> Any:
    before = ray.is_initialized()
    yield
    assert ray.is_initialized() == before


def scripted(folder: Path, **sections: Any) -> str:
    """A config that needs no model."""
    data = {
        "models": {"policy": "scripted", "critic": "scripted"},
        "engine": pipeline_scripts.engine(),
        **sections,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def input_of(command: str) -> str:
    """The option that names the rows of a command."""
    (flag,) = COMMANDS[command].inputs
    return flag


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    """The one line on stderr of a command line that must be refused."""
    assert main(list(arguments)) == status
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("genprm: error: ")
    return lines[0].removeprefix("genprm: error: ")


# ---- bad input


BAD_ROWS = [
    ('{"id": "a", "problem": "P"', r"in\.jsonl:2: not JSON: .*column"),
    ("[1, 2]", r"in\.jsonl:2: expected a JSON object, got an array"),
    ('{"id": "b", "problem": "P"}', r"in\.jsonl:2: field 'steps': field required"),
    ('{"id": "b", "problem": "P", "steps": []}', r"in\.jsonl:2: field 'steps': .*at least 1"),
    ('{"id": "b", "problem": "P", "steps": ["x", " "]}', r":2: field 'steps\[1\]': an empty step"),
    ('{"id": "b", "problem": "P", "steps": "x"}', r"in\.jsonl:2: field 'steps': .*valid list"),
    ('{"id": "b", "problem": "P", "solution": 3}', r"in\.jsonl:2: field 'steps'"),
    (json.dumps(GOOD), r"in\.jsonl:2: id 'a' occurs a second time"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_ROWS)
def test_a_bad_row_to_score_is_named(
    line: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(GOOD) + "\n" + line + "\n")
    config = scripted(tmp_path)
    message = refused(
        capsys, "score", "--config", config, "--input", str(source), "--out", str(out)
    )
    assert re.search(reason, message), message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "in.jsonl"]


@pytest.mark.parametrize(
    ("command", "row", "reason"),
    [
        ("solve", {"id": "a", "problem": "P"}, "'a': no answer to verify against"),
        ("solve", {"problem": "P", "answer": "1", "task": "nope"}, "unknown task 'nope'"),
        ("solve", {"id": "a", "answer": "1"}, "field 'problem'"),
        ("label", {"problem": "P", "answer": "1"}, "field 'steps'"),
        ("label", {"problem": "P", "answer": "1", "steps": ["", "x"]}, "'steps[0]': an empty step"),
        ("distill", GOOD, "field 'values'"),
        (
            "distill",
            {
                **{**GOOD, "task": "math", "values": [1.0], "wins": [1], "rollouts": [1]},
                **{"labels": [True], "first_error": -1, "estimator": "flat_hard"},
            },
            "the rule writer knows arithmetic, tracking, not 'math'",
        ),
        ("eval", GOOD, "field 'first_error'"),
        ("eval", {**GOOD, "first_error": 1}, "first_error 1 but only 1 steps"),
        ("eval", {"id": "a", "problem": "P", "candidates": []}, "field 'candidates'"),
    ],
)
def test_a_row_that_a_stage_cannot_use_is_named(
    command: str,
    row: dict[str, Any],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "in.jsonl"
    write_jsonl(source, [row])
    option, config = input_of(command), scripted(tmp_path)
    out = str(tmp_path / "out")
    message = refused(capsys, command, "--config", config, option, str(source), "--out", out)
    assert f"{source}:1: " in message
    assert reason in message
    assert not Path(f"{out}.parts").exists()


@pytest.mark.parametrize("command", [c for c in STAGES if c != "train"])
def test_where_all_rows_are_bad_there_is_nothing_to_skip_to(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "a", "steps": [1]}\n[1]\n')
    arguments = [command, "--config", scripted(tmp_path), input_of(command), str(source)]
    out = ["--out", str(tmp_path / "out"), "--on-bad-row", "skip"]
    message = refused(capsys, *arguments, *out)
    # a line that is no JSON is met first where all lines are read before one is checked
    assert "2 rows were skipped, first " in message and f"{source}:" in message
    beside = sorted(path.name for path in tmp_path.iterdir())
    if command in ("eval", "calibrate"):  # their folder is not made
        assert beside == ["config.yaml", "in.jsonl"]
    else:
        assert beside == ["config.yaml", "in.jsonl", "out.skipped.jsonl"]
        assert len(list(read_rows(tmp_path / "out.skipped.jsonl"))) == 2


def test_an_estimate_tells_of_skipped_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "a", "steps": [1]}\n')
    files = ["--solutions", str(source), "--out", str(tmp_path / "out"), "--estimate"]
    message = refused(capsys, "label", "--config", scripted(tmp_path), *files, "--on-bad-row=skip")
    assert "no rows to label; 1 row was skipped, first " in message


LABELLED = {
    **GOOD,
    **{"values": [1.0], "wins": [1], "rollouts": [1], "labels": [True], "first_error": -1},
    "estimator": "flat_hard",
}


def test_convert_skips_bad_rows_and_tells_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_jsonl(source, [LABELLED, {**LABELLED, "id": "b", "labels": []}, {**LABELLED, "id": "c"}])
    arguments = ["convert", "--labels", str(source), "--to", "trl", "--out", str(out)]
    assert "in.jsonl:2: 1 steps but 0 entries in 'labels'" in refused(capsys, *arguments)
    assert not out.exists()
    assert main([*arguments, "--on-bad-row", "skip"]) == 0
    printed = capsys.readouterr().out
    assert "wrote 2 rows" in printed and "skipped 1: 1 steps but 0 entries" in printed
    assert f"skipped 1 bad row in all, which is not counted above: see {out}.skipped" in printed
    (skipped,) = map(json.loads, (tmp_path / "out.jsonl.skipped.jsonl").open())
    assert skipped["where"] == f"{source}:2" and skipped["row"]["id"] == "b"


def test_merge_skips_bad_rows_of_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, out = (tmp_path / name for name in ("1.jsonl", "2.jsonl", "out.jsonl"))
    write_jsonl(one, [{"id": "x"}, LABELLED])
    write_jsonl(other, [LABELLED, {**LABELLED, "id": "b", "first_error": "?"}])
    files = ["--labels", str(one), "--with", str(other), "--out", str(out)]
    refused(capsys, "merge", *files)
    assert main(["merge", *files, "--on-bad-row", "skip"]) == 0
    assert "agreement 1" in capsys.readouterr().out
    skipped = list(map(json.loads, (tmp_path / "out.jsonl.skipped.jsonl").open()))
    assert {row["where"] for row in skipped} == {f"{one}:1", f"{other}:2"}


def test_a_wrong_word_for_bad_rows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["score", "--input", "x", "--out", "y"]
    assert "invalid choice: 'ignore'" in refused(capsys, *files, "--on-bad-row", "ignore")
    assert "on_bad_row" in refused(capsys, *files, "--set", "on_bad_row=ignore")


@pytest.mark.parametrize("command", [c for c in STAGES if c != "train"])
def test_a_missing_input_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option, config = input_of(command), scripted(tmp_path)
    missing, out = str(tmp_path / "no.jsonl"), str(tmp_path / "out.jsonl")
    message = refused(capsys, command, "--config", config, option, missing, "--out", out)
    assert message == f"{missing}: no such file or folder"


def test_an_empty_input_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("\n\n")
    config, out = scripted(tmp_path), str(tmp_path / "out.jsonl")
    message = refused(capsys, "score", "--config", config, "--input", str(source), "--out", out)
    assert message == f"{source}: no rows"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("task:nope?n=3", "unknown task 'nope'; built in are arithmetic, tracking"),
        ("task:arithmetic?n=many", "n must be a whole number, not 'many'"),
        ("task:arithmetic?size=3", "no option size=3"),
    ],
)
def test_an_unknown_task_is_refused(
    spec: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = scripted(tmp_path), str(tmp_path / "out.jsonl")
    message = refused(capsys, "solve", "--config", config, "--problems", spec, "--out", out)
    assert reason in message


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--set", "score.vote=3"], "unknown config key 'score.vote'; did you mean 'score.votes'?"),
        (["--set", "score.votes=many"], "config key 'score.votes'"),
        (["--set", "votes"], "expected key=value"),
        (["--config", "no-such.yaml"], "no-such.yaml: no such config file"),
        (["--set", "models.critic=/tmp"], "/tmp: not a model directory (no config.json"),
        (["--set", "models.critic=./nowhere"], "./nowhere: no such model directory"),
        (["--set", "models.critic=embedded:huge"], "unknown embedded model 'embedded:huge'"),
        (["--set", "pack=no-such"], "no-such: no such prompt pack; shipped packs are"),
        (["--set", "train.kind=poet"], "train.kind: no such kind 'poet'; there are: "),
        (["--set", "splitter=words"], "config key 'splitter': no such splitter; there are lines"),
    ],
)
def test_a_bad_config_is_refused(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.jsonl"
    write_jsonl(source, [GOOD])
    command = ["score", "--input", str(source), "--out", str(tmp_path / "out.jsonl")]
    assert reason in refused(capsys, *command, *arguments)


def test_a_port_in_use_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        engine = ["--set", "engine.kind=scripted"]
        assert f":{port}: " in refused(capsys, "serve", "--port", str(port), *engine)


def test_no_cluster_at_the_address_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not ray.is_initialized()  # an earlier test left its cluster
    source = tmp_path / "in.jsonl"
    write_jsonl(source, [GOOD])
    files = ["--input", str(source), "--out", str(tmp_path / "out.jsonl")]
    nowhere = ["--config", scripted(tmp_path), "--address", "127.0.0.1:1"]
    assert "no Ray cluster at 127.0.0.1:1" in refused(capsys, "score", *files, *nowhere)


# ---- usage


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["bogus"], "invalid choice: 'bogus'"),
        (["solve", "--out", "x.jsonl"], "required: --problems"),
        (["solve", "--problems", "x", "--out", "y", "--fast"], "unknown argument --fast"),
        (["solve", "--prob", "x", "--out", "y"], "required: --problems"),  # no abbreviations
        (["serve", "--port", "http"], "argument --port: invalid int value: 'http'"),
        (["submit", "serve", "--address", "http://h"], "invalid choice: 'serve'"),
    ],
)
def test_usage_errors_are_one_line(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in refused(capsys, *arguments)


def test_dry_run_prints_a_config_that_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--set", "score.votes=3", "--dry-run", "--address", "auto"]
    assert main(["score", "--input", "x", "--out", "y", *arguments]) == 0
    config = parse_config(yaml.safe_load(capsys.readouterr().out))
    assert config.score.votes == 3
    assert config.runtime.address == "auto"


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"submit"}))
def test_a_dry_run_needs_no_other_argument(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "  # Critiques sampled per step.\n  votes: 8\n" in printed
    parse_config(yaml.safe_load(printed))


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["serve", "--port", "9", "--host", "0.0.0.0"], "serve", {"port": 9, "host": "0.0.0.0"}),
        (["train", "--data", "x", "--out", "y", "--kind", "critic"], "train", {"kind": "critic"}),
    ],
)
def test_options_of_their_own_are_config_values(
    arguments: list[str], key: str, value: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--dry-run"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)[key]
    assert value.items() <= printed.items()


def test_the_name_of_a_command_is_that_of_its_file() -> None:
    folder = Path(cluster.commands.__file__).parent
    assert {name for name in COMMANDS if not (folder / f"{name}.py").is_file()} == set()


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in COMMANDS)
    for name, command in COMMANDS.items():
        with pytest.raises(SystemExit) as end:
            main([name, "--help"])
        assert end.value.code == 0
        assert command.help in " ".join(capsys.readouterr().out.split())


def test_a_new_option_is_a_decision() -> None:
    """Config values need no option: this list grows only on purpose."""
    common = {"--help", "--debug", "--config", "--set", "--dry-run", "--address"}
    own = {
        "quickstart": {"--out", "--full"},
        "serve": {"--host", "--port"},
        "pretrain": {"--out", "--tokens", "--init", "--comparisons-first"},
        "train": {"--data", "--out", "--kind"},
        "submit": {"--submission-id", "--env", "--no-wait"},
        "label": {"--solutions", "--out", "--audit", "--estimate"},
        "convert": {"--labels", "--to", "--out"},
        "merge": {"--labels", "--with", "--keep", "--out"},
    }
    own |= {name: {input_of(name), "--out"} for name in COMMANDS if name not in own}
    for name, command in COMMANDS.items():
        own[name] |= {"--on-bad-row"} if command.inputs else set()
    commands = next(a for a in build_parser()._actions if a.dest == "command").choices
    assert commands is not None
    for name, sub in commands.items():
        options = {o for action in sub._actions for o in action.option_strings if o != "-h"}
        assert options == own[name] | (
            common - {"--config", "--set"} if name == "submit" else common
        )


# ---- failures


def test_a_failure_is_one_line_and_exit_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the disk\nis full")

    monkeypatch.setitem(COMMANDS, "score", replace(COMMANDS["score"], run=broken))
    arguments = ["score", "--input", "x", "--out", "y"]
    assert refused(capsys, *arguments, status=1) == "the disk is full"
    monkeypatch.setenv("GENPRM_DEBUG", "1")
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error and error.splitlines()[-1] == "genprm: error: the disk is full"


def test_labels_that_share_their_first_token_are_refused_before_an_engine_starts(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = load_pack("native").model_dump(mode="json")
    broken = {**pack, "correct_label": " correct", "incorrect_label": " correct not"}
    (tmp_path / "pack.yaml").write_text(yaml.safe_dump(broken))
    source = tmp_path / "in.jsonl"
    write_jsonl(source, [GOOD])
    settings = [f"pack={tmp_path / 'pack.yaml'}", f"models.critic={tiny_model}"]
    message = refused(
        capsys,
        *["score", "--input", str(source), "--out", str(tmp_path / "out.jsonl")],
        *[word for setting in settings for word in ("--set", setting)],
    )
    assert "share their first token" in message


@pytest.mark.parametrize(
    "arguments",
    [["score", "--input", "no.jsonl", "--out", "x", "--set", "score.vote=1"], ["label", "--help"]],
)
def test_the_command_line_loads_no_library_that_a_command_needs(arguments: list[str]) -> None:
    heavy = ("ray", "torch", "vllm", "transformers", "pyarrow", "numpy", "fsspec", "rich")
    code = (
        "import atexit, sys; from cluster.cli import main;"
        f"atexit.register(lambda: print(sorted(set({heavy!r}) & set(sys.modules))));"
        f"main({arguments!r})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
