"""`genprm quickstart`: the whole path on the embedded base, from problems to a report.

    problems ─ solve ─ label ─ distill ─ train ─▶ critic ─ eval, serve, best-of-n ─▶ report

Each part is the same function that the commands call, and resumes by itself: killed at any time,
the same command goes on where it was. What it measured is put together by `quickstart_report`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster import pipelines, runtime, storage
from cluster.actors import ScorerHandle, connect
from cluster.client import Client
from cluster.evaluate import Evaluation, evaluate
from cluster.quickstart_report import Findings, write
from cluster.row_actor import Row
from cluster.stages import Report
from genprm import tasks
from genprm.config import Config
from genprm.errors import ConfigError
from genprm.records import BestOfNRow, Candidate, EvaluationRow, Judgement, Solution
from genprm.rows import read_records, read_rows, write_jsonl
from genprm.scorer import ScoreItem

CANDIDATES = 8  # per best-of-n problem
BATCH = 64  # candidates per call of the service


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many problems of each task; the critic is the same in both.

    `curve` of the training solutions are labelled once more, with CURVE_ROLLOUTS, for the figures.
    """

    train: int
    evaluate: int
    best_of_n: int
    best_of_n_votes: int = 1
    curve: int = 0


QUICK = Sizes(train=300, evaluate=200, best_of_n=50)
FULL = Sizes(train=300, evaluate=1000, best_of_n=100, curve=200)
CURVE_ROLLOUTS = 16
SEEDS = {"train": 1, "eval": 2, "bon": 3}  # of the problems; no problem serves twice


def run(config: Config, out: str, *, sizes: Sizes = QUICK) -> Path:
    """Run (or go on with) the whole path and return the path of report.html.

    Raises:
        ConfigError: the folder belongs to another config or size.
        StageError, EngineError: a part could not finish; the same command goes on there.
    """
    folder = Path(out).absolute()
    _claim(folder, config, sizes)
    begun = time.time()
    with runtime.session(config.runtime):
        solved, labelled, distilled = _data(config, folder, sizes)
        curve = _curve_labels(config, folder, sizes)
        _announce(5, "fine-tune a critic on the critiques")
        from cluster.training import train

        trained = train(config, [distilled.out], str(folder / "critic"))
        evaluations = _evaluate(config, folder)
        served, best_of_n = _serve(config, folder, sizes)
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
        seconds_last_run=time.time() - begun,
    )
    return write(findings)


def _claim(folder: Path, config: Config, sizes: Sizes) -> None:
    """Make the folder this run's, or find that it is.

    Raises:
        ConfigError: it holds something else.
    """
    mark = folder / "quickstart.json"
    mine = {"config": config.model_dump(mode="json"), "sizes": asdict(sizes)}
    if mark.exists():
        if storage.read_json(str(mark)) != mine:
            raise ConfigError(f"{folder} belongs to another quickstart: choose another --out")
        return
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is no quickstart's: choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    storage.write_json(str(mark), mine)


def _announce(number: int, what: str) -> None:
    print(f"[{number}/8] {what}", flush=True)


def _problems(sizes: Sizes) -> Iterator[Row]:
    """All problems, each with the column `use`; a best-of-n problem once per candidate."""
    for name in tasks.TASKS:
        for use, n in (("train", sizes.train), ("eval", sizes.evaluate), ("bon", sizes.best_of_n)):
            form = {"train": "&form=mixed", "eval": "&form=person", "bon": "&form=person"}[use]
            form = form if name == "tracking" else ""
            for problem in tasks.load(f"task:{name}?n={n}&seed={SEEDS[use]}{form}"):
                for copy in range(CANDIDATES if use == "bon" else 1):
                    key = f"{problem.id}#{copy}" if use == "bon" else problem.id
                    yield {**problem.row(), "id": key, "use": use, "group": problem.id}


def _data(config: Config, folder: Path, sizes: Sizes) -> tuple[Report, Report, Report]:
    """Solutions, labels, critique targets; and the evaluation rows that the oracle judges."""
    _announce(1, "sample solutions with the policy")
    problems = _write(folder / "problems.jsonl", _problems(sizes))
    solved = pipelines.solve(config, [problems], str(folder / "solutions.jsonl"))
    # without an answer the oracle calls the last step wrong, which no critic of prefixes can see
    solutions = [
        row for row in read_rows(solved.out) if row["error"] is None and row["final_answer"]
    ]
    _announce(2, "value the steps by rollouts, label them")
    to_label = _write(folder / "to_label.jsonl", (r for r in solutions if r["use"] == "train"))
    labelled = pipelines.label(config, [to_label], str(folder / "labels.jsonl"))
    _announce(3, "have critiques written, keep where writer and rollouts agree, balance")
    distilled = pipelines.distill(config, [labelled.out], str(folder / "targets.jsonl"))
    _announce(4, "find the first errors of fresh solutions with the exact oracle")
    _write(folder / "eval.jsonl", _evaluation_rows(r for r in solutions if r["use"] == "eval"))
    return solved, labelled, distilled


def _curve_labels(config: Config, folder: Path, sizes: Sizes) -> Report | None:
    """Labels from many rollouts, to see what fewer would have said; none of them is trained on."""
    if not sizes.curve:
        return None
    rows = list(read_rows(str(folder / "to_label.jsonl")))
    by_task = [[row for row in rows if row["task"] == task] for task in tasks.TASKS]
    chosen = [row for group in by_task for row in group[: sizes.curve]]
    source = _write(folder / "curve_input.jsonl", iter(chosen))
    more = config.label.model_copy(update={"rollouts": CURVE_ROLLOUTS})
    return pipelines.label(
        config.model_copy(update={"label": more}), [source], str(folder / "curve_labels.jsonl")
    )


def _evaluation_rows(solutions: Iterator[Row]) -> Iterator[Row]:
    for row in solutions:
        first_error = tasks.get(row["task"]).first_error(row["problem"], row["steps"])
        yield EvaluationRow(
            id=row["id"],
            problem=row["problem"],
            steps=row["steps"],
            first_error=first_error,
            source=row["task"],
        ).row()


def _write(path: Path, rows: Iterator[Row]) -> str:
    """Write rows unless the file stands: it is a function of what came before it."""
    if not path.exists():
        write_jsonl(str(path), rows)
    return str(path)


def _critic(config: Config, model: str) -> Config:
    return config.model_copy(update={"models": config.models.model_copy(update={"critic": model})})


def _evaluate(config: Config, folder: Path) -> dict[str, Evaluation]:
    """Both critics on the same fresh solutions: the shipped one and the one just trained."""
    _announce(6, f"judge fresh solutions with {config.score.votes} votes per step")
    critics = {"shipped": config.models.critic, "quickstart": str(folder / "critic")}
    return {
        name: evaluate(
            _critic(config, model), [str(folder / "eval.jsonl")], str(folder / "eval" / name)
        )
        for name, model in critics.items()
    }


def _serve(
    config: Config, folder: Path, sizes: Sizes
) -> tuple[list[dict[str, Any]], list[BestOfNRow]]:
    """Start the service on the new critic, ask it both ways, and choose best-of-n through it."""
    from cluster import service

    _announce(7, "serve the new critic; score through HTTP and through a handle")
    served_path, chosen_path = folder / "served.json", folder / "best_of_n.jsonl"
    if not (served_path.exists() and chosen_path.exists()):
        settings = config.serve.model_copy(update={"port": 0})
        served_config = _critic(config, str(folder / "critic"))
        url = service.run(served_config.model_copy(update={"serve": settings}), blocking=False)
        try:
            shown = _ask(url, folder)
            rows = asyncio.run(_best_of_n(connect(), folder, sizes))
        finally:
            service.stop()
        write_jsonl(str(chosen_path), (row.row() for row in rows))
        storage.write_json(str(served_path), {"answers": shown})
    answers = (storage.read_json(str(served_path)) or {})["answers"]
    for answer in answers:
        print(f"  {answer['asked']}: {answer['through']} says {answer['said']}")
    return answers, read_records(str(chosen_path), BestOfNRow)


def _ask(url: str, folder: Path) -> list[dict[str, Any]]:
    """One right and one wrong solution, through HTTP and through a handle."""
    rows = read_records(str(folder / "eval.jsonl"), EvaluationRow)
    right = [row for row in rows if row.first_error == -1][:1]
    wrong = [row for row in rows if row.first_error > 0][:1]
    shown = []
    with Client(url) as client:
        handle = connect()
        for row in (*right, *wrong):
            by_http = client.score(row.problem, row.steps, id=row.id)
            by_handle = asyncio.run(handle.score(row.problem, row.steps, id=row.id))
            for through, judgement in (("HTTP", by_http), ("the handle", by_handle)):
                shown.append(
                    {
                        "asked": f"a solution wrong at step {row.first_error + 1}"
                        if row in wrong
                        else "a right solution",
                        "through": through,
                        "said": _verdict(judgement),
                        "judgement": judgement.row(),
                    }
                )
    return shown


def _verdict(judgement: Judgement) -> str:
    scores = " ".join("–" if s.score is None else f"{s.score:.2f}" for s in judgement.steps)
    named = "no error" if judgement.first_error < 0 else f"first error {judgement.first_error + 1}"
    return f"{named} (step scores {scores})"


async def _best_of_n(handle: ScorerHandle, folder: Path, sizes: Sizes) -> list[BestOfNRow]:
    """Score every candidate through the handle, as a pipeline would."""
    rows = [row for row in read_rows(str(folder / "solutions.jsonl")) if row["use"] == "bon"]
    solutions = [Solution.model_validate(row) for row in rows if row["error"] is None]
    items = [ScoreItem(s.problem, s.steps, id=s.id, votes=sizes.best_of_n_votes) for s in solutions]
    judgements: list[Judgement] = []
    for at in range(0, len(items), BATCH):
        judgements += await handle.score_batch(items[at : at + BATCH])
        print(f"\r  scored {len(judgements)} of {len(items)} candidates", end="", flush=True)
    print()
    return _grouped(solutions, judgements)


def _grouped(solutions: Sequence[Solution], judgements: Sequence[Judgement]) -> list[BestOfNRow]:
    """Best-of-n rows with scores; a problem that lost a candidate to a failure is left out."""
    groups: dict[str, list[tuple[Solution, Judgement]]] = {}
    for solution, judgement in zip(solutions, judgements, strict=True):
        groups.setdefault((solution.model_extra or {})["group"], []).append((solution, judgement))
    return [
        BestOfNRow(
            **{"id": key, "problem": members[0][0].problem, "answer": members[0][0].answer},
            task=members[0][0].task,
            candidates=[
                Candidate(
                    steps=solution.steps,
                    answer=solution.final_answer,
                    correct=bool(solution.outcome),
                    step_scores=[step.score for step in judgement.steps],
                )
                for solution, judgement in members
            ],
        )
        for key, members in groups.items()
        if len(members) == CANDIDATES
    ]
