"""Golden files: the content of metrics.json, and every figure that a report shows.

A change in any of their digits is seen here, and is made on purpose or not at all.
"""

from __future__ import annotations

import dataclasses
import io
import json
import random
from html.parser import HTMLParser
from typing import Any

from genprm.config.score import ScoreConfig
from genprm.evaluation.bon import best_of_n_metrics
from genprm.evaluation.calibrate import METHODS, fit
from genprm.evaluation.labels_quality import (
    RolloutOutcomes,
    rollout_curve,
)
from genprm.evaluation.metrics import evaluation_metrics
from genprm.evaluation.reliability import LabelledStep
from genprm.generation import Usage
from genprm.labeling.labels import labels_from_values
from genprm.records import BestOfNRow, Candidate
from genprm.report.report import StageCost, render_report
from genprm.report.summary import evaluation_report, label_row, rollout_series
from genprm.report.terminal import print_table
from goldens import golden
from judged import CRITIC, judged_set

MADE_BY = {"command": "genprm eval", "seed": 7, "versions": {"python": "3.11"}, "commit": None}
BREAKS = {"p", "h1", "h2", "h3", "tr", "li", "div", "dt", "summary", "header", "title", "desc"}


class Outline(HTMLParser):
    """The visible text of a page, line by line, and of each plot its title and description."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.lines = [""]
        self.inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta",):
            self.inside.append(tag)
        if tag in BREAKS:
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside.pop()

    def handle_data(self, data: str) -> None:
        in_plot = "svg" in self.inside and self.inside[-2:] not in (
            ["svg", "title"],
            ["svg", "desc"],
        )
        if "style" not in self.inside and not in_plot:
            self.lines[-1] += f" {data}"

    def text(self) -> str:
        lines = (" ".join(line.split()) for line in self.lines)
        return "\n".join(line for line in lines if line) + "\n"


def as_text(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def outcomes(n: int) -> list[RolloutOutcomes]:
    rng = random.Random(3)
    made = []
    for _ in range(n):
        steps = rng.randint(2, 5)
        oracle = rng.randrange(steps) if rng.random() < 0.6 else -1
        each = [
            tuple(
                None if rng.random() < 0.03 else rng.random() < (0.1 if 0 <= oracle <= i else 0.7)
                for _ in range(16)
            )
            for i in range(steps - 1)
        ]
        made.append(RolloutOutcomes((*each, (oracle < 0,)), oracle))
    return made


def best_of_n_rows(n: int) -> list[BestOfNRow]:
    rng = random.Random(5)
    rows = []
    for number in range(n):
        ease, candidates = rng.random(), []
        for _ in range(8):
            correct = rng.random() < ease
            scores = [round(rng.betavariate(5, 2 if correct else 4), 3) for _ in range(3)]
            answer = "7" if correct else rng.choice(["8", "9", None])
            scored = scores if rng.random() < 0.95 else None
            candidates.append(
                Candidate(steps=["s"] * 3, answer=answer, correct=correct, step_scores=scored)
            )
        rows.append(BestOfNRow(id=f"b{number}", problem="P", candidates=candidates))
    return rows


def test_metrics_json() -> None:
    rows, judgements = judged_set(200)
    metrics = evaluation_metrics(rows, judgements, seconds=12.5, provenance=MADE_BY)
    golden("eval-metrics", as_text(metrics.json()))


def test_metrics_json_without_critiques() -> None:
    rows, judgements = judged_set(20, seed=1)
    rows = [row.model_copy(update={"source": "one"}) for row in rows]
    bare = []
    for judgement in judgements:
        steps = [step.model_copy(update={"critiques": None}) for step in judgement.steps]
        bare.append(judgement.model_copy(update={"steps": steps, "usage": {}}))
    golden("eval-metrics-bare", as_text(evaluation_metrics(rows, bare, seconds=None).json()))


def test_best_of_n_metrics() -> None:
    golden("eval-best-of-n", as_text(best_of_n_metrics(best_of_n_rows(60)).json()))


def test_label_quality() -> None:
    curve = rollout_curve(outcomes(80), labels_from_values)
    golden("eval-labels", as_text([point.json() for point in curve]))


def test_the_report() -> None:
    rows, judgements = judged_set(200)
    metrics = evaluation_metrics(rows, judgements, seconds=12.5, provenance=MADE_BY)
    report = evaluation_report("the critic", metrics, rows, judgements)
    curve = rollout_curve(outcomes(80), labels_from_values)
    report = dataclasses.replace(
        report,
        rollout_curves=(rollout_series("labels", curve),),
        label_quality=(label_row("rollouts", curve[-1].quality),),
        costs=(
            StageCost("solve", 12.5, 100, 1600, Usage(31_000, 0, 4_000)),
            StageCost("train", 40.25, 8),
        ),
    )
    text = io.StringIO()
    for table in report.tables:
        print_table(table.rows, text)
        text.write("\n")
    golden("eval-report", text.getvalue() + Outline(render_report(report)).text())


def test_a_fitted_calibration() -> None:
    rng, steps = random.Random(9), []
    for number in range(600):
        score = round(rng.random(), 3)
        steps.append(LabelledStep(f"s{number // 4}", score, rng.random() < score**2))
    fitted = {
        name: {f"{i / 20:g}": round(method(steps).at(i / 20), 3) for i in range(21)}
        for name, method in METHODS.items()
    }
    calibration = fit(steps, CRITIC, ScoreConfig(), "rows")
    fitted["held out"] = {
        name: {key: round(figure, 4) for key, figure in figures.items()}
        for name, figures in calibration.held_out.items()
    }
    golden("eval-calibration", as_text({"chosen": calibration.method, **fitted}))
