"""The quickstart on the embedded models, small: killed on the way, it goes on where it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.quickstart import path as quickstart
from cluster.quickstart.report import label_curve
from genprm.config.load import load_config
from genprm.errors import ConfigError
from genprm.records import LabelledSolution
from places import ROOT

SIZES = quickstart.Sizes(train=16, evaluate=6, best_of_n=2)
SETTINGS = [
    "label.estimator=flat_hard",  # so that few solutions give labels of both kinds
    "label.rollouts=2",
    "train.epochs=1",
    "score.votes=2",
    "runtime.engine_replicas=1",  # most of the time goes into engines' starts
]
RUN = f"""
import sys
from cluster.quickstart import path as quickstart
from genprm.config.load import load_config
if __name__ == "__main__":
    config = load_config("quickstart", {SETTINGS!r})
    print(quickstart.run(config, sys.argv[1], sizes=quickstart.{SIZES!r}))
"""


def start(script: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", str(script), str(out)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill_everything(process: subprocess.Popen[str]) -> None:
    """As a power cut would: nothing gets to clean up."""
    everyone = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for each in everyone:
        if each.is_running():
            each.kill()
    process.wait()


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.ray
@pytest.mark.engine
def test_a_killed_quickstart_goes_on_and_reports(tmp_path: Path) -> None:
    script, out = tmp_path / "run.py", tmp_path / "out"
    script.write_text(RUN)
    first = start(script, out)
    assert first.stdout is not None
    for line in first.stdout:
        if line.startswith("[3/9]"):  # solved and labelled
            break
    kill_everything(first)
    first.stdout.close()
    solved = (out / "solutions.jsonl").stat().st_mtime_ns
    labelled = (out / "labels.jsonl").stat().st_mtime_ns

    second = start(script, out)
    printed, _ = second.communicate(timeout=1100)
    assert second.returncode == 0, printed
    assert (out / "solutions.jsonl").stat().st_mtime_ns == solved
    assert (out / "labels.jsonl").stat().st_mtime_ns == labelled
    assert "First errors in fresh solutions" in printed

    report = read_json(out / "report.json")
    shipped = report["first_error"]["shipped"].values()
    right = sum(figures["accuracy"] * figures["n"] for figures in shipped)
    assert right > sum(figures["n"] for figures in shipped) / 2  # by chance: one in six
    for critic in ("shipped", "quickstart"):
        for task in ("arithmetic", "tracking"):
            figures = report["first_error"][critic][task]
            assert 0 < figures["n"] <= 6  # a solution without an answer is left out
            # one trained on a few dozen critiques may reach no verdict, which is never right
            assert figures["coverage"] == 1 or critic == "quickstart"
            assert figures["accuracy"] <= figures["coverage"]
            assert [point["votes"] for point in figures["votes_curve"]] == [1, 2]
    assert report["stages"]["label"]["rollouts"] > 0
    assert {answer["through"] for answer in report["served"]} == {"HTTP", "the handle"}
    assert "<svg" in (out / "report.html").read_text()

    with pytest.raises(ConfigError, match="belongs to another quickstart"):
        quickstart.run(load_config("quickstart"), str(out), sizes=SIZES)


def test_the_curve_of_labels_ends_with_the_fewest_rollouts() -> None:
    wrong_after_one = [[True] * 17, [False] * 16, [False]]  # the last is the outcome

    def labelled(name: str, outcomes: list[list[bool | None]]) -> LabelledSolution:
        lists = {"values": [None] * 3, "wins": [0] * 3, "rollouts": [0] * 3, "labels": [None] * 3}
        row = {"id": name, "problem": "P", "answer": "1", "steps": ["a", "b", "c"], **lists}
        settings = {"first_error": -1, "estimator": "flat_hard", "outcomes": outcomes}
        return LabelledSolution.model_validate(row | settings)

    rows = [labelled("exact", wrong_after_one), labelled("other", wrong_after_one)]
    rows.append(labelled("too long", [[], [], [False]]))  # has no rollouts, so it does not count
    points = label_curve(rows, {"exact": 1, "other": 0, "too long": 2})
    assert [point.rollouts for point in points] == [4, 8, 16]
    assert [point.json()["first_error_exact"] for point in points] == [0.5, 0.5, 0.5]
    assert label_curve(rows[2:], {"too long": 2}) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    config = load_config("quickstart", ["engine.kind=scripted"])  # needs no models
    with pytest.raises(ConfigError, match="was not made by"):
        quickstart.run(config, str(tmp_path), sizes=SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
