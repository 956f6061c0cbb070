"""The batch stages on a real Ray with two logical CPUs, with a scripted engine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import yaml

import pipeline_scripts
from chat_server import Server
from cluster import pipelines, runtime
from cluster.cli import main
from cluster.stages.calibrate import calibrate
from cluster.stages.estimate import price_of_labels
from cluster.stages.evaluate import evaluate
from cluster.stages.label import rollouts_at_once
from cluster.stages.run import StageError, blocks_in_flight, busy_seconds
from genprm.config.root import Config
from genprm.data.rows import read_records, read_rows, write_jsonl
from genprm.errors import ConfigError, InputError
from genprm.records import Judgement, LabelledSolution, Row, Solution
from places import HELPERS, ROOT

RUNTIME = {"num_cpus": 2, "rows_per_block": 4}


@pytest.fixture
def two_cpus(ray_session: None) -> None:
    pass


def config(script: str = "answer", **sections: Any) -> Config:
    models = {"policy": "scripted", "critic": "scripted"}
    engine = pipeline_scripts.engine(script, **sections.pop("engine", {}))
    data = {"models": models, "engine": engine, "runtime": RUNTIME, **sections}
    return Config.model_validate(data)


def problems(path: Path, n: int, text: str = "Count to seven, please: {}") -> str:
    rows = [{"id": f"p{i}", "problem": text.format(i), "answer": "7"} for i in range(n)]
    write_jsonl(path, rows)
    return str(path)


def calls(path: Path) -> int:
    """The number of completions requested, as logged to the file that the problems name."""
    return path.read_text().count("\n")


def rows_of(path: Path | str) -> list[Row]:
    return list(read_rows(path))


def meta_of(path: Path) -> Row:
    loaded: Row = json.loads(Path(f"{path}.meta.json").read_text())
    return loaded


# ---- the path


def test_solve_label_distill_score(two_cpus: None, tmp_path: Path) -> None:
    solutions, labels = tmp_path / "solutions.jsonl", tmp_path / "labels"
    settings = config(solve={"samples_per_problem": 2}, distill={"filter": False, "balance": None})

    solved = pipelines.solve(settings, ["task:arithmetic?n=9&seed=3"], str(solutions))
    assert (solved.rows_in, solved.rows_out, solved.failed) == (9, 18, 0)
    sampled = read_records(solutions, Solution)
    order = [s.problem_id for s in sampled]
    assert order == [f"arithmetic-standard-3-{i}" for i in range(9) for _ in range(2)]

    labelled = pipelines.label(settings, [str(solutions)], str(labels))  # a Parquet folder
    assert labelled.usage.completions == 18 * settings.label.rollouts  # one open prefix each
    cost = labelled.details["labels"]
    assert (cost["rollouts"], cost["generated_tokens"]) == (
        labelled.usage.completions,
        labelled.usage.completion_tokens,
    )
    assert cost["per_label"]["rollouts"] == cost["rollouts"] / cost["labels"] > 0
    assert [s.id for s in read_records(labels, LabelledSolution)] == [s.id for s in sampled]

    targets = pipelines.distill(settings, [str(labels)], str(tmp_path / "targets.jsonl"))
    assert targets.details["solutions"].keys() <= {"agreement", "disagreement"}
    rows = rows_of(tmp_path / "targets.jsonl.written.jsonl")
    assert [row["id"] for row in rows] == [s.id for s in sampled]

    judged = pipelines.score(settings, [str(solutions)], str(tmp_path / "judged.jsonl"))
    judgements = read_records(judged.out, Judgement)
    assert [j.id for j in judgements] == [s.id for s in sampled]
    assert all(len(j.steps) == 2 and j.solution_score == pytest.approx(0.8) for j in judgements)


def test_the_meta_record_tells_what_made_the_output(two_cpus: None, tmp_path: Path) -> None:
    out = tmp_path / "solutions.jsonl"
    pipelines.solve(config(), [problems(tmp_path / "in.jsonl", 3)], str(out))
    meta = meta_of(out)
    assert meta["stage"] == "solve"
    assert meta["input"]["rows"] == 3
    assert meta["report"]["completion_tokens"] > 0
    assert meta["report"]["seconds"] > 0
    engine = meta["report"]["details"]["per_engine"]
    assert engine["slots"] == 128 and 0 <= engine["sequences_in_flight"] <= 3
    assert meta["provenance"]["ray"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.jsonl",
        "solutions.jsonl",
        "solutions.jsonl.meta.json",
    ]


def test_doubts_about_the_verifier_are_counted_and_set_aside(
    two_cpus: None, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "labels.jsonl"
    rows = [
        {"id": f"s{i}", "problem": f"Count {i}", "answer": answer, "steps": ["I see.", "I count."]}
        for i, answer in enumerate(["7", "7.0", "8"])  # rollouts say 7
    ]
    write_jsonl(source, rows)
    settings = {"rollouts": 3, "second_verifier": "exact", "audit": 2}
    foreign = {"cost": 0.02, "audit": "mine", "labels": 3, "verifier_disagreements": "?"}
    with source.open("a") as file:
        file.write(json.dumps({"id": "broken", "error": "of an earlier stage"} | foreign) + "\n")
    labelled = pipelines.label(config(label=settings), [str(source)], str(out))
    assert labelled.details["verifiers"] == {"answers": 18, "disagreements": 6}
    doubts = rows_of(tmp_path / "labels.jsonl.disagreements.jsonl")
    assert len(doubts) == 6 and {row["prefix"] for row in doubts} == {1, 2}
    assert all(
        (d["id"], d["reference"], d["answer"], d["correct"], d["second"])
        == ("s1", "7.0", "7", True, False)
        for d in doubts
    )
    labels = [[True, True], [True, True], [False, None]]
    assert [row["labels"] for row in rows_of(out)] == [*labels, 3]
    assert foreign.items() <= rows_of(out)[-1].items()  # rows without labels pass through unchanged
    assert not any("rollout_to_read" in row for row in rows_of(out))
    page = (tmp_path / "labels.jsonl.audit.html").read_text()
    assert "2 rollouts to read" in page and "So the answer is 7." in page
    assert page.count("<article") == 2 and ">right<" in page and ">wrong<" in page


def test_a_sample_prices_the_job_and_leaves_nothing(two_cpus: None, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    steps = [[f"Step {n}." for n in range(1 + i % 4)] for i in range(60)]
    rows = [
        {"id": f"s{i}", "problem": "Count", "answer": "7", "steps": s} for i, s in enumerate(steps)
    ]
    write_jsonl(source, [*rows, {"id": "broken", "error": "of an earlier stage"}])
    out = str(tmp_path / "labels.jsonl")
    price = price_of_labels(config(label={"rollouts": 2}), [str(source)], out, 20)
    truth = 2 * sum(map(len, steps))
    assert (price.rows, price.sample, price.failed, price.settled) == (60, 20, 0, 20)
    assert price.rollouts.low is not None and price.rollouts.high is not None
    assert price.rollouts.low <= truth <= price.rollouts.high
    assert price.rollouts.high - price.rollouts.low < truth / 2
    assert price.seconds > 0 and "60 solutions" in price.summary()
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
    with pytest.raises(ConfigError, match="--estimate 0: at least 1"):
        price_of_labels(config(), [str(source)], out, 0)


def test_label_says_at_the_command_line_what_it_cost_and_would_cost(
    two_cpus: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.jsonl"
    row = {"problem": "Count", "answer": "7", "steps": ["I see.", "I count."]}
    write_jsonl(source, ({"id": f"s{i}", **row} for i in range(12)))
    file, out = tmp_path / "config.yaml", tmp_path / "labels.jsonl"
    file.write_text(yaml.safe_dump(config().model_dump(mode="json")))
    command = ["label", "--config", str(file), "--solutions", str(source), "--out", str(out)]
    assert main([*command, "--estimate", "4"]) == 0
    assert "12 solutions: about" in capsys.readouterr().out and not out.exists()
    assert main([*command, "--audit", "3"]) == 0
    assert "labels: labels 24, rollouts 192, generated tokens" in capsys.readouterr().out
    assert "3 rollouts to read" in (tmp_path / "labels.jsonl.audit.html").read_text()


# ---- rows that fail


def test_a_failed_row_is_a_row_with_a_reason_and_carried_on(two_cpus: None, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    texts = ["Count to seven", "Please fail", "Please refuse", "Count to seven again"]
    rows = [{"id": f"p{i}", "problem": text, "answer": "7"} for i, text in enumerate(texts)]
    write_jsonl(source, rows)
    solutions, labels = tmp_path / "solutions.jsonl", tmp_path / "labels.jsonl"
    solved = pipelines.solve(config(), [str(source)], str(solutions))
    assert (solved.rows_out, solved.failed) == (4, 2)
    errors = [row["error"] for row in rows_of(solutions)]
    assert errors[0] is None and errors[3] is None
    assert errors[1] == "ValueError: told to fail"
    assert "refused 3 times: not now" in errors[2]

    labelled = pipelines.label(config(), [str(solutions)], str(labels))
    assert (labelled.rows_out, labelled.failed) == (4, 2)
    carried = [(row["id"], row["error"]) for row in rows_of(labels)]
    failures = [(row["id"], row["error"]) for row in rows_of(solutions) if row["error"]]
    assert carried[2:] == failures and [error for _, error in carried[:2]] == [None, None]


def test_an_output_of_failures_only_is_a_failure(two_cpus: None, tmp_path: Path) -> None:
    source = problems(tmp_path / "in.jsonl", 3, "fail {}")
    with pytest.raises(StageError, match="all 3 rows failed, the first: ValueError: told to fail"):
        pipelines.solve(config(), [source], str(tmp_path / "out.jsonl"))
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_step_that_does_not_fit_the_context_is_a_status(two_cpus: None, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    steps = [["a step"], ["a step", "word " * 500], ["wrong"]]
    write_jsonl(source, [{"problem": "P", "steps": s, "note": i} for i, s in enumerate(steps)])
    settings = config(engine={"max_model_len": 200})
    report = pipelines.score(settings, [str(source)], str(tmp_path / "out.jsonl"))
    judged = rows_of(report.out)
    assert [[s["status"] for s in row["steps"]] for row in judged] == [
        ["ok"],
        ["ok", "too_long"],
        ["ok"],
    ]
    assert [row["first_error"] for row in judged] == [-1, -1, 0]
    assert [row["note"] for row in judged] == [0, 1, 2]  # other columns pass through
    assert report.details["steps"] == {"ok": 3, "too_long": 1}


def test_a_setting_that_cannot_work_ends_the_stage(two_cpus: None, tmp_path: Path) -> None:
    source = problems(tmp_path / "in.jsonl", 3)
    broken = config(engine={"extra": {"script": "pipeline_scripts:no_such"}})
    with pytest.raises(ConfigError, match="there is no function pipeline_scripts:no_such"):
        pipelines.solve(broken, [source], str(tmp_path / "out.jsonl"))


def test_a_policy_server_that_is_away_for_a_while_is_waited_for(
    two_cpus: None, tmp_path: Path
) -> None:
    server, source = Server(), tmp_path / "in.jsonl"
    server.choice = {"message": {"role": "assistant", "content": "So the answer is 7"}}
    server.pause = 0.3
    steps = ["Count.", "So the answer is 8"]
    columns = {"problem": "Count to seven", "answer": "7", "steps": steps}
    write_jsonl(source, [{"id": f"s{i}", **columns} for i in range(60)])

    def goes_away() -> None:
        with server.serving():
            while len(server.requests) < 20 and not ended.wait(0.05):
                pass
        ended.wait(5)
        with server.serving():
            ended.wait()

    ended, away = threading.Event(), threading.Thread(target=goes_away)
    away.start()
    while not server.port:
        assert away.is_alive()
        time.sleep(0.05)
    engine = {"kind": "openai", "openai": {"base_url": server.url}, "extra": {"prefill": True}}
    settings = Config.model_validate(
        {"engine": engine, "runtime": RUNTIME, "label": {"rollouts": 1}}
        | {"models": {"policy": "served"}}
    )
    try:
        report = pipelines.label(settings, [str(source)], str(tmp_path / "out.jsonl"))
    finally:
        ended.set()
        away.join()
    assert (report.rows_in, report.rows_out, report.failed) == (60, 60, 0)
    assert report.resent > 0 and meta_of(tmp_path / "out.jsonl")["report"]["resent"] > 0
    assert all(row["values"] == [1.0, 0.0] for row in rows_of(tmp_path / "out.jsonl"))


def test_a_process_that_dies_is_started_again(two_cpus: None, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    source = problems(tmp_path / "in.jsonl", 12, f"Count {{}} calls={log}")
    report = pipelines.solve(config("dies_once"), [source], str(tmp_path / "out.jsonl"))
    assert (report.rows_out, report.failed) == (12, 0)
    assert calls(log) > 12


# ---- outputs that exist


def test_a_finished_output_is_left_alone_and_no_other_run_may_have_it(
    two_cpus: None, tmp_path: Path
) -> None:
    source, out = problems(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    pipelines.solve(config(), [source], str(out))
    before = out.read_bytes(), out.stat().st_mtime_ns
    again = pipelines.solve(config(runtime={"num_cpus": 2}), [source], str(out))  # speed only
    assert again.already_done
    with pytest.raises(ConfigError, match="belongs to another config"):
        pipelines.solve(config(solve={"temperature": 0.5}), [source], str(out))
    with pytest.raises(ConfigError, match=r"belongs to another stage \(solve\)"):
        pipelines.label(config(), [str(out)], str(out))
    problems(tmp_path / "in.jsonl", 4)
    with pytest.raises(ConfigError, match="belongs to another input"):
        pipelines.solve(config(), [source], str(out))
    assert (out.read_bytes(), out.stat().st_mtime_ns) == before


def test_a_file_not_made_by_genprm_is_not_overwritten(tmp_path: Path) -> None:
    source, out = problems(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    out.write_text("precious\n")
    with pytest.raises(ConfigError, match="is not a finished genprm output"):
        pipelines.solve(config(), [source], str(out))
    assert out.read_text() == "precious\n"


# ---- kill and resume


@contextlib.contextmanager
def solving(source: str, out: Path) -> Iterator[subprocess.Popen[str]]:
    """`genprm solve` in a process of its own, which does not outlive the test."""
    settings = {"models": {"policy": "scripted"}, "engine": pipeline_scripts.engine()}
    file = out.with_suffix(".yaml")
    file.write_text(json.dumps({**settings, "runtime": RUNTIME}))
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{HELPERS}",
        pipeline_scripts.SECONDS: "0.15",
    }
    command = ["-m", "cluster.cli", "solve", "--config", str(file), "--problems", source]
    process = subprocess.Popen(
        [sys.executable, *command, "--out", str(out)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_results(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    folder = Path(f"{out}.parts/checkpoint")
    for _ in range(3000):  # five minutes; seconds on an idle machine
        done = [p for p in folder.glob("*.parquet") if ".pending" not in p.name]
        if len(done) >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("no results came")


def test_interrupted_and_killed_the_same_command_goes_on(two_cpus: None, tmp_path: Path) -> None:
    log, out = tmp_path / "calls", tmp_path / "out.jsonl"
    source = problems(tmp_path / "in.jsonl", 60, f"Count {{}} calls={log}")

    with solving(source, out) as first:
        wait_for_results(out, 2, first)
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=120)
    assert first.returncode == 130
    assert errors.splitlines()[-1] == "genprm: interrupted; the same command goes on where it was"
    assert "Traceback" not in errors

    with solving(source, out) as second:
        wait_for_results(out, 5, second)
        family = psutil.Process(second.pid).children(recursive=True)
        workers = [process for process in family if "Agent" not in process.name()]
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive  # Ray, its workers and their engines; Ray's own agents take a minute more

    done, before = len(read_ids(Path(f"{out}.parts/checkpoint"))), calls(log)
    assert 0 < done < 60
    report = pipelines.solve(config(), [source], str(out))
    assert report.rows_in == report.rows_out == 60
    assert [row["problem_id"] for row in rows_of(out)] == [f"p{i}" for i in range(60)]
    assert calls(log) - before == 60 - done


def read_ids(folder: Path) -> set[str]:
    files = [path for path in folder.glob("*.parquet") if ".pending" not in path.name]
    return {row["id"] for path in files for row in read_rows(path)}


# ---- evaluation


def evaluation_rows() -> list[Row]:
    rows: list[Row] = []
    for i in range(12):
        wrong = i % 3 == 0
        steps = ["fine", "wrong" if wrong else "fine", "so"]
        row = {"id": f"e{i}", "problem": f"P{i}", "steps": steps, "first_error": 1 if wrong else -1}
        rows.append(row)
    rows[1]["first_error"] = 0  # the critic will miss this one
    return rows


def test_eval_writes_metrics_judgements_and_report(two_cpus: None, tmp_path: Path) -> None:
    data, out = tmp_path / "rows.jsonl", tmp_path / "eval"
    write_jsonl(data, evaluation_rows())
    evaluation = evaluate(config(score={"votes": 4}), [str(data)], str(out))
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["n"] == 12
    assert metrics["accuracy"] == pytest.approx(11 / 12)
    assert metrics["accuracy_error"] == pytest.approx(4 / 5)
    assert [point["votes"] for point in metrics["votes_curve"]] == [1, 2, 4]
    assert metrics["seconds"] > 0
    assert evaluation.judging.rows_out == len(rows_of(out / "judgements.jsonl")) == 12
    assert "<svg" in (out / "report.html").read_text()
    assert list((out / "plots").glob("*.svg"))
    assert evaluate(config(score={"votes": 4}), [str(data)], str(out)).judging.already_done


def test_bad_rows_are_skipped_once_and_counted(
    two_cpus: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "rows.jsonl", tmp_path / "eval"
    good = evaluation_rows()
    odd = [good[0], {**good[0], "id": "odd", "steps": ["fine", ""]}, *good]
    write_jsonl(data, odd)
    data.write_text(data.read_text() + '{"id": NaN}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:15: field 'id': nan is no number"):
        evaluate(config(), [str(data)], str(out))
    skipping = config(score={"votes": 1}, on_bad_row="skip")
    for again in (False, True):
        evaluation = evaluate(skipping, [str(data)], str(out))
        assert evaluation.judging.already_done == again and evaluation.judging.skipped == 3
        skipped = [row["where"][-2:] for row in rows_of(out / "judgements.jsonl.skipped.jsonl")]
        assert skipped == ["15", ":2", ":3"]
        metrics = json.loads((out / "metrics.json").read_text())
        assert metrics["n"] == 12 and metrics["provenance"]["skipped_rows"] == 3
    assert "Without 3 rows of no use" in (out / "report.html").read_text()
    other = tmp_path / "other.jsonl"
    other.write_text(data.read_text().replace("NaN", "Infinity"))
    with pytest.raises(ConfigError, match="belongs to another input"):
        evaluate(skipping, [str(other)], str(out))

    command = ["score", "--config", str(tmp_path / "config.yaml"), "--input", str(data)]
    command += ["--out", str(tmp_path / "scores.jsonl"), "--on-bad-row", "skip"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(skipping.model_dump(mode="json")))
    for _ in range(2):
        assert main(command) == 0
        printed = capsys.readouterr().out
        assert "skipped 1: field 'steps[1]': an empty step" in printed
        assert "skipped 3 bad rows in all" in printed
        assert len(rows_of(tmp_path / "scores.jsonl.skipped.jsonl")) == 3
    assert len(rows_of(tmp_path / "scores.jsonl")) == 12


def test_eval_of_best_of_n_rows(two_cpus: None, tmp_path: Path) -> None:
    data, out = tmp_path / "rows.jsonl", tmp_path / "bon"
    good = {"steps": ["fine"], "answer": "7", "correct": True}
    bad = {"steps": ["wrong"], "answer": "8", "correct": False}
    silent = {"steps": [], "answer": None, "correct": False}
    rows = [{"id": f"b{i}", "problem": "P", "candidates": [bad, silent, good]} for i in range(5)]
    write_jsonl(data, rows)
    evaluate(config(), [str(data)], str(out))
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["best_of_n"]["min"]["accuracy"] == 1.0
    assert metrics["pass_at_1"] == pytest.approx(1 / 3)
    assert metrics["unscored"] == 5
    assert len(rows_of(out / "judgements.jsonl")) == 10


def test_eval_does_not_write_into_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"metrics\.json exists and is not of this"):
        evaluate(config(), [str(tmp_path / "rows.jsonl")], str(tmp_path))


def test_calibrate_learns_what_scores_mean_and_scoring_uses_it(
    two_cpus: None, tmp_path: Path
) -> None:
    data, out = tmp_path / "rows.jsonl", tmp_path / "calibrated"
    rows = evaluation_rows() * 4
    write_jsonl(data, [{**row, "id": f"e{i}"} for i, row in enumerate(rows)])
    settings = config(score={"votes": 4})
    result = calibrate(settings, [str(data)], str(out))
    fixed, early = result.calibrations
    assert not result.found_by_scoring and fixed.votes == early.votes == 4
    assert (fixed.solutions, fixed.steps) == (early.solutions, early.steps) == (48, 120)
    assert (fixed.early_stop, early.early_stop) == (False, True)
    assert early.sampling == {**fixed.sampling, "round_votes": 2, "stop_risk": 0.0}
    assert result.path == str(out / "calibration.json")
    again = calibrate(settings, [str(data)], str(out))
    assert again.judging.already_done and again.calibrations == result.calibrations

    options = {"votes": 4, "calibration": result.path}
    judged = evaluate(config(score=options), [str(data)], str(tmp_path / "eval"))
    before, after = judged.metrics.reliability, judged.metrics.reliability_calibrated
    assert after.n == 120
    assert after.ece < before.ece  # these are the rows that it was fitted on
    steps = read_records(tmp_path / "eval" / "judgements.jsonl", Judgement)[0].steps
    assert steps[0].score == pytest.approx(0.8) and steps[0].calibrated > 0.85
    other = pipelines.score(
        config(score={**options, "votes": 2}), [str(data)], str(tmp_path / "two.jsonl")
    )
    assert all(s.calibrated is None for j in read_records(other.out, Judgement) for s in j.steps)

    with pytest.raises(ConfigError, match=r"fitted for temperature 1\.0, not 0\.5"):
        pipelines.score(
            config(score={**options, "temperature": 0.5}), [str(data)], str(tmp_path / "cool.jsonl")
        )
    in_rounds = pipelines.score(
        config(score={**options, "early_stopping": {"enabled": True}}),
        [str(data)],
        str(tmp_path / "early.jsonl"),
    )
    assert read_records(in_rounds.out, Judgement)[0].steps[0].calibrated > 0.85
    calibrations = json.loads(Path(result.path).read_text())
    for one in calibrations:
        one["critic"]["model"] = "another"
    Path(result.path).write_text(json.dumps(calibrations))
    with pytest.raises(ConfigError, match=r"fitted for critic\.model 'another'"):
        pipelines.score(config(score=options), [str(data)], str(tmp_path / "other.jsonl"))


def test_a_missing_calibration_is_reported_before_anything_starts(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", evaluation_rows())
    settings = config(score={"calibration": str(tmp_path / "none.json")})
    with pytest.raises(ConfigError, match=r"none\.json: No such file"):
        pipelines.score(settings, [str(tmp_path / "rows.jsonl")], str(tmp_path / "out.jsonl"))


# ---- small parts


def test_options_of_an_engine_actor(two_cpus: None) -> None:
    def get_options(replicas: int = 1, **more: Any) -> dict[str, Any]:
        return runtime.engine_options(Config.model_validate(more), replicas)

    # with two logical CPUs the engine leaves both to the tasks that feed it
    threads = {"env_vars": {"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))}}
    assert get_options() == {"num_cpus": 0, "num_gpus": 0, "runtime_env": threads}
    assert get_options(replicas=999)["runtime_env"]["env_vars"] == {"OMP_NUM_THREADS": "1"}
    assert get_options(runtime={"gpus_per_engine": 2})["num_gpus"] == 2
    server = {"kind": "openai", "openai": {"base_url": "http://host"}}
    assert get_options(engine=server, runtime={"gpus_per_engine": 2})["num_gpus"] == 0
    assert "runtime_env" not in get_options(replicas=2, runtime={"gpus_per_engine": 1})


def test_a_session_inside_another_changes_nothing(two_cpus: None) -> None:
    with runtime.session(Config().runtime):
        assert ray.is_initialized()
    assert ray.is_initialized()


def test_enough_blocks_are_in_flight_and_not_many_more() -> None:
    base = Config(engine={"max_num_seqs": 128}, runtime={"rows_per_block": 16})
    assert blocks_in_flight(base, sequences_per_row=1) == 16
    assert blocks_in_flight(base, sequences_per_row=48) == 3
    assert blocks_in_flight(base.model_copy(), sequences_per_row=0) == 16


@pytest.mark.parametrize(
    ("estimator", "rollouts"), [("flat_hard", 24), ("first_zero", 4), ("adaptive", 1)]
)
def test_a_search_keeps_few_rollouts_busy_and_so_takes_more_rows(
    estimator: str, rollouts: int
) -> None:
    config = Config(label={"estimator": estimator, "rollouts": 4})
    assert rollouts_at_once(config.label) == rollouts


def test_busy_seconds_is_the_union_of_the_intervals() -> None:
    assert busy_seconds([]) == 0
    assert busy_seconds([(10, 11), (0, 2), (1, 3), (1.5, 2.5)]) == 4
