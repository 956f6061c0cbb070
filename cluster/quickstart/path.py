"""`genprm quickstart`: the whole path on the embedded base, from problems to a report.

    problems ─ solve ─ label ─ distill ─ train ─▶ critic ─ eval, serve, best-of-n ─▶ report

Each part is the same function that the commands call, and resumes by itself: killed at any time,
the same command goes on where it was. `report` puts together what was measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cluster import pipelines, runtime
from cluster.actors import connect
from cluster.quickstart.report import Findings, write
from cluster.stages.evaluate import (
    BestOfNEvaluation,
    FirstErrorEvaluation,
    evaluate_best_of_n,
    evaluate_first_errors,
)
from cluster.stages.report import Report
from genprm import tasks
from genprm.client.http import Client
from genprm.config.root import Config
from genprm.data import storage
from genprm.data.rows import read_records, read_rows, write_jsonl
from genprm.errors import ConfigError
from genprm.records import BestOfNRow, Candidate, EvaluationRow, Judgement, Row
from genprm.scoring.critic import load_critic

CANDIDATES = 8  # per best-of-n problem
SPARE = 0.1  # share of evaluation problems on top, for solutions that state no answer
CURVE_ROLLOUTS = 16
SEEDS = {"train": 1, "eval": 21, "bon": 22}  # of the problems; no problem serves twice


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many problems of each task (to train on, see `_sources`); one critic serves both.

    `curve` of the training solutions are labelled once more, with CURVE_ROLLOUTS, for the figures.
    """

    train: int
    evaluate: int
    best_of_n: int
    best_of_n_votes: int = 1
    curve: int = 0


QUICK = Sizes(train=300, evaluate=200, best_of_n=50)
FULL = Sizes(train=300, evaluate=1000, best_of_n=100, curve=100)


class Clock:
    """Wall seconds of each part over all runs.

    Starts of engines are included; the time of a part that was killed is not.
    """

    def __init__(self, folder: Path):
        self._path = str(folder / "seconds.json")
        self.seconds: dict[str, float] = storage.read_json(self._path) or {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start
        storage.write_json(self._path, self.seconds)


def run(config: Config, out: str, *, sizes: Sizes = QUICK) -> Path:
    """Run (or go on with) the whole path and return the path of report.html.

    Raises:
        ConfigError: the folder belongs to another config or size, a model cannot be used, or the
            config names a cluster (this starts a Ray of its own).
        StageError, EngineError: a part could not finish; the same command goes on there.
    """
    if config.runtime.address not in (None, "local"):
        raise ConfigError("the quickstart starts a Ray of its own: leave out --address")
    # "local" also where RAY_ADDRESS names a cluster, which is no place for a demonstration
    own = config.runtime.model_copy(update={"address": "local"})
    config = config.model_copy(update={"runtime": own})
    load_critic(config)  # a missing critic ends the run here, not after the training
    folder = Path(out).absolute()
    _claim(folder, config, sizes)
    clock = Clock(folder)
    with runtime.session(config.runtime):
        solved, labelled, distilled = _data(config, folder, sizes, clock)
        curve = _curve_labels(config, folder, sizes, clock)
        _announce(5, "fine-tune a critic on the critiques")
        from cluster.training.driver import train

        with clock.part("train"):
            trained = train(config, [distilled.out], str(folder / "critic"))
        evaluations = _evaluate(config, folder, clock)
        served = _serve(config, folder, clock)
        best_of_n = _best_of_n(config, folder, sizes, clock)
    findings = Findings(
        folder=folder,
        config=config,
        sizes=asdict(sizes),
        solved=solved,
        labelled=labelled,
        curve=curve,
        distilled=distilled,
        trained=trained,
        evaluations=evaluations,
        best_of_n=best_of_n,
        served=served,
        seconds=clock.seconds,
    )
    return write(findings)


def _claim(folder: Path, config: Config, sizes: Sizes) -> None:
    """Mark the folder as this run's, unless it is marked so already.

    Raises:
        ConfigError: the folder holds something else.
    """
    mark = folder / "quickstart.json"
    mine = {"config": config.model_dump(mode="json"), "sizes": asdict(sizes)}
    if mark.exists():
        if storage.read_json(str(mark)) != mine:
            raise ConfigError(f"{folder} belongs to another quickstart: choose another --out")
        return
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} exists and was not made by `genprm quickstart`: choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    storage.write_json(str(mark), mine)


def _announce(number: int, what: str) -> None:
    print(f"[{number}/9] {what}", flush=True)


def _problems(sizes: Sizes) -> Iterator[Row]:
    """All problems, each with the column `use`; a best-of-n problem once per candidate."""
    counts = {
        "train": sizes.train,
        "eval": sizes.evaluate + round(SPARE * sizes.evaluate),
        "bon": sizes.best_of_n,
    }
    for use, n in counts.items():
        for source in _sources(use, n):
            for problem in tasks.load(f"{source}&seed={SEEDS[use]}"):
                for copy in range(CANDIDATES if use == "bon" else 1):
                    key = f"{problem.id}#{copy}" if use == "bon" else problem.id
                    yield {**problem.row(), "id": key, "use": use, "group": problem.id}


def _sources(use: str, n: int) -> list[str]:
    """Sources of `n` problems of each task; to train on, twice as many of tracking.

    Tracking has two forms, and the critic learns from both. Problems that ask for one person's
    thing, with options as in BIG-Bench, show wrong last lines; problems that ask for the whole
    assignment show wrong swaps, which are rare, and cheap to label.
    """
    if use != "train":
        return [f"task:arithmetic?n={n}", f"task:tracking?n={n}&form=person"]
    return [
        f"task:arithmetic?n={n}",
        f"task:tracking?n={2 * n - n // 2}&form=assignment",
        f"task:tracking?n={n // 2}&form=person",
    ]


def _data(
    config: Config, folder: Path, sizes: Sizes, clock: Clock
) -> tuple[Report, Report, Report]:
    """Solutions, labels, critique targets; and the rows that the evaluations judge."""
    _announce(1, "sample solutions with the policy")
    problems = _write(folder / "problems.jsonl", _problems(sizes))
    with clock.part("solve"):
        solved = pipelines.solve(config, [problems], str(folder / "solutions.jsonl"))
    solutions = list(read_rows(solved.out))
    # without an answer the oracle calls the last step wrong, which no critic of prefixes can see
    ended = [row for row in solutions if row["error"] is None and row["final_answer"]]
    _announce(2, "value the steps by rollouts, label them")
    to_label = _write(folder / "to_label.jsonl", (r for r in ended if r["use"] == "train"))
    with clock.part("label"):
        labelled = pipelines.label(config, [to_label], str(folder / "labels.jsonl"))
    _announce(3, "have critiques written, keep where writer and rollouts agree, balance")
    with clock.part("distill"):
        distilled = pipelines.distill(config, [labelled.out], str(folder / "targets.jsonl"))
    _announce(4, "find the first errors of fresh solutions with the exact oracle")
    _write(folder / "eval.jsonl", _evaluation_rows(ended, sizes.evaluate))
    _write(folder / "candidates.jsonl", _best_of_n_rows(solutions))
    return solved, labelled, distilled


def _curve_labels(config: Config, folder: Path, sizes: Sizes, clock: Clock) -> Report | None:
    """Labels from many rollouts, to see what fewer rollouts give. None of them is trained on."""
    if not sizes.curve:
        return None
    rows = list(read_rows(str(folder / "to_label.jsonl")))
    by_task = [[row for row in rows if row["task"] == task] for task in tasks.TASKS]
    first_of_each = (row for group in by_task for row in group[: sizes.curve])
    source = _write(folder / "curve_input.jsonl", first_of_each)
    flat = {"estimator": "flat_hard", "rollouts": CURVE_ROLLOUTS}
    more = config.label.model_copy(update=flat)
    with clock.part("label for the curve"):
        return pipelines.label(
            config.model_copy(update={"label": more}), [source], str(folder / "curve_labels.jsonl")
        )


def _evaluation_rows(solutions: Iterable[Row], most: int) -> Iterator[Row]:
    """The first solutions of each task, at most `most`, with the oracle's first error.

    A wrong solution ends there: what follows its first error cannot change whether that is found.
    """
    for task in tasks.TASKS:
        of_task = (row for row in solutions if (row["use"], row["task"]) == ("eval", task))
        for row in islice(of_task, most):
            error = tasks.get(task).first_error(row["problem"], row["steps"])
            yield EvaluationRow(
                id=row["id"],
                problem=row["problem"],
                steps=row["steps"][: error + 1] if error >= 0 else row["steps"],
                first_error=error,
                source=task,
            ).row()


def _best_of_n_rows(solutions: Iterable[Row]) -> Iterator[Row]:
    """A row per problem with all of its candidates; one that failed has no steps and is wrong."""
    groups: dict[str, list[Row]] = {}
    for row in solutions:
        if row["use"] == "bon":
            groups.setdefault(row["group"], []).append(row)
    for key, members in groups.items():
        candidates = [
            Candidate(steps=row["steps"], answer=row["final_answer"], correct=bool(row["outcome"]))
            if row["error"] is None
            else Candidate(steps=[], correct=False)
            for row in members
        ]
        first = members[0]
        named = {"id": key, "problem": first["problem"], "answer": first["answer"]}
        yield BestOfNRow(**named, task=first["task"], candidates=candidates).row()


def _write(path: Path, rows: Iterator[Row]) -> str:
    """Write rows unless the file exists: what it holds depends only on earlier parts."""
    if not path.exists():
        write_jsonl(str(path), rows)
    return str(path)


def _critic(config: Config, model: str) -> Config:
    return config.model_copy(update={"models": config.models.model_copy(update={"critic": model})})


def _evaluate(config: Config, folder: Path, clock: Clock) -> dict[str, FirstErrorEvaluation]:
    """Both critics on the same fresh solutions: the shipped one and the one just trained."""
    _announce(6, f"judge fresh solutions with {config.score.votes} votes per step")
    critics = {"shipped": config.models.critic, "quickstart": str(folder / "critic")}
    data, evaluations = str(folder / "eval.jsonl"), {}
    rows = read_records(data, EvaluationRow)
    for name, model in critics.items():
        with clock.part(f"eval {name}"):
            out, judge = str(folder / "eval" / name), _critic(config, model)
            evaluations[name] = evaluate_first_errors(judge, rows, data, out)
        if untrained := evaluations[name].judging.details.get("critic"):
            print(f"  {name}: {untrained}")
    return evaluations


def _serve(config: Config, folder: Path, clock: Clock) -> list[dict[str, Any]]:
    """Start the service on the new critic and score with it, through HTTP and through a handle."""
    from cluster import service

    _announce(7, "serve the new critic; score through HTTP and through a handle")
    path = folder / "served.json"
    if not path.exists():
        settings = config.serve.model_copy(update={"port": 0})
        served = _critic(config, str(folder / "critic")).model_copy(update={"serve": settings})
        with clock.part("serve"):
            url = service.run(served, blocking=False, tokens=False)  # only for itself
            try:
                judged = _score_two(url, folder)
            finally:
                service.stop()
        storage.write_json(str(path), {"answers": judged})
    answers: list[dict[str, Any]] = (storage.read_json(str(path)) or {})["answers"]
    for answer in answers:
        print(f"  {answer['asked']}: {answer['through']} says {answer['said']}")
    return answers


def _score_two(url: str, folder: Path) -> list[dict[str, Any]]:
    """The judgements of a right and a wrong solution, through HTTP and through a handle."""
    rows = read_records(str(folder / "eval.jsonl"), EvaluationRow)
    right = [row for row in rows if row.first_error == -1][:1]
    wrong = [row for row in rows if row.first_error > 0][:1]
    answers = []
    with Client(url) as client:
        handle = connect()
        for row in (*right, *wrong):
            by_http = client.score(row.problem, row.steps, id=row.id)
            by_handle = asyncio.run(handle.score(row.problem, row.steps, id=row.id))
            for through, judgement in (("HTTP", by_http), ("the handle", by_handle)):
                answers.append(
                    {
                        "asked": f"a solution wrong at step {row.first_error + 1}"
                        if row in wrong
                        else "a right solution",
                        "through": through,
                        "said": _verdict(judgement),
                        "judgement": judgement.row(),
                    }
                )
    return answers


def _verdict(judgement: Judgement) -> str:
    scores = " ".join("–" if s.score is None else f"{s.score:.2f}" for s in judgement.steps)
    if judgement.first_error >= 0:
        verdict = f"first error {judgement.first_error + 1}"
    elif judgement.covered:
        verdict = "no error"
    else:
        verdict = "nothing certain, for some steps have no verdict"
    return f"{verdict} (step scores {scores})"


def _best_of_n(config: Config, folder: Path, sizes: Sizes, clock: Clock) -> BestOfNEvaluation:
    """Score every candidate with the new critic."""
    _announce(8, f"choose the best of {CANDIDATES}, {sizes.best_of_n_votes} critique per step")
    fewer = config.score.model_copy(update={"votes": sizes.best_of_n_votes})
    config = _critic(config, str(folder / "critic")).model_copy(update={"score": fewer})
    data = str(folder / "candidates.jsonl")
    with clock.part("best of n"):
        problems = read_records(data, BestOfNRow)
        return evaluate_best_of_n(config, problems, data, str(folder / "best_of_n"))
