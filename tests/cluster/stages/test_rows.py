"""The rows that every stage writes, to the byte: columns, order, seeds, and what it counts.

The stages run here as in the cluster but for Ray: the same work on the same rows, one by one.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pipeline_scripts
from cluster.stages.distill import distill_stage
from cluster.stages.label import label_stage
from cluster.stages.outputs import Result, canonical
from cluster.stages.run import Stage
from cluster.stages.score import scoring_stage
from cluster.stages.solve import solve_stage
from genprm.config.root import Config
from genprm.data import sources
from genprm.data.formats.base import FORMATS
from genprm.data.rows import FailedRow, write_jsonl
from genprm.engines import build_engine
from genprm.labeling.consensus import combine
from genprm.labeling.solution import ESTIMATORS
from genprm.records import EvaluationRow, LabelledSolution, Row
from goldens import golden
from places import SAMPLES

PROBLEMS = [
    {"id": f"p{i}", "problem": f"Count to seven: {i}", "answer": "7", "level": i, "note": None}
    for i in range(2)
]


def config(**sections: Any) -> Config:
    models = {"policy": "scripted", "critic": "scripted"}
    engine = pipeline_scripts.engine("varied")
    return Config.model_validate({"models": models, "engine": engine, **sections})


def results(stage: Stage, config: Config, rows: Iterable[Row]) -> list[Result]:
    """What `RowActor` makes of the rows."""

    async def work_on_all() -> list[Result]:
        engine = None if stage.model is None else await build_engine(config.engine, "scripted")
        work = await stage.make(config, engine)
        done = []
        for index, row in enumerate(rows):
            error = row["error"] if isinstance(row, FailedRow) else None
            read = json.loads(canonical(row))
            became = [read] if error else json.loads(canonical(await work(read)))
            done.append(Result(row["id"], index, became, error))
        return done

    return asyncio.run(work_on_all())


def text_of(rows: Iterable[Row]) -> str:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return re.sub(r'"seconds": [\d.e-]+', '"seconds": 0', text)


def sorted_text(rows: Iterable[Row]) -> str:
    return text_of(json.loads(canonical(row)) for row in rows)


STAGES: dict[str, tuple[Callable[[Config], Stage], Callable[[list[str]], Iterable[Row]]]] = {
    "solve": (solve_stage, sources.problems),
    "label": (label_stage, sources.solutions),
    "distill": (distill_stage, lambda paths: sources.labelled_solutions(paths, False)),
    "score": (
        lambda config: scoring_stage(config, "score"),
        lambda paths: sources.solutions_to_score(paths, "lines"),
    ),
}


def run(name: str, config: Config, paths: list[str]) -> list[str]:
    make, read = STAGES[name]
    stage = make(config)
    done = results(stage, config, read(paths))
    collector = stage.collector(config)
    files = [text_of(collector.rows(done)), text_of([collector.summary()])]
    return files + [text_of(aside.rows(done)) for aside in stage.asides]


EVALUATION = {"problem": "P", "steps": ["a", "b"], "first_error": 1}


def every_stage(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and files of each output (rows, summary, asides), each made of the one before."""

    def write(name: str, text: str) -> list[str]:
        (folder / name).write_text(text)
        return [str(folder / name)]

    write_jsonl(folder / "problems.jsonl", PROBLEMS)
    solving = config(solve={"samples_per_problem": 3, "max_tokens": 60})
    files = run("solve", solving, [str(folder / "problems.jsonl")])
    yield "solve", files
    solutions = write("solutions.jsonl", files[0])
    for name in ESTIMATORS:
        files = run("label", config(label={"estimator": name, "max_tokens": 60}), solutions)
        yield f"label {name}", files
        labels = write(f"{name}.jsonl", files[0])
    options = {"reuse": "solution", "partial": True, "second_verifier": "exact", "audit": 2}
    again = labels + write("broken.jsonl", '{"id": "broken", "error": "before", "labels": 3}')
    files = run("label", config(label={**options, "max_tokens": 60}), again)
    yield "label with every option", files
    labels = write("labels.jsonl", files[0])
    teacher = {"writer": "teacher", "teacher": {"model": "scripted"}, "critiques_per_step": 2}
    yield "distill", run("distill", config(distill={**teacher, "balance": None}), labels)
    yield "distill balanced", run("distill", config(distill={**teacher, "filter": False}), labels)
    yield "score", run("score", config(score={"votes": 2}), labels)
    foreign = [f"{name}:{SAMPLES}/formats/{name}.jsonl" for name in ("prm800k", "math_shepherd")]
    for source in foreign:
        yield source.partition(":")[0], [sorted_text(sources.labelled_solutions([source], False))]
    flat, adaptive = (
        sources.labelled_solutions([str(folder / f"{name}.jsonl")], False)
        for name in ("flat_hard", "adaptive")
    )
    pairs = [
        (LabelledSolution.model_validate(one), LabelledSolution.model_validate(other))
        for one, other in zip(flat, adaptive, strict=True)
    ]
    both = [combine(*pair).solution.row() for pair in pairs]
    both += [combine(*reversed(pair)).solution.row() for pair in pairs[:2]]
    yield "merge", [sorted_text(both)]
    write_jsonl(
        folder / "evaluation.jsonl",
        [
            EVALUATION,
            EVALUATION | {"suspect": True, "source": "s", "id": 7, "mine": [1], "task": "t"},
        ],
    )
    rows = sources.records([str(folder / "evaluation.jsonl")], EvaluationRow, sources.check_steps)
    yield "evaluation rows", [sorted_text(rows)]


def test_rows_and_summaries_are_as_they_were(tmp_path: Path) -> None:
    outputs = list(every_stage(tmp_path))
    extra: set[str] = set()
    for name, files in outputs:
        if name.startswith("label") or name in FORMATS:
            rows = [row for row in map(json.loads, files[0].splitlines()) if not row.get("error")]
            for row in rows:  # columns beyond the fields: from the input, or `error`
                extra |= (LabelledSolution.model_validate(row).model_extra or {}).keys()
    users = {"level", "note", "is_quality_control_question", "is_initial_screening_question"}
    assert extra == users | {"error"}
    golden("stage-rows", "".join(f"== {name}\n" + "--\n".join(files) for name, files in outputs))
