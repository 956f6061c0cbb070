"""The batch stages solve, label, distill and score: what each does with one row.

A stage is data (`cluster.stages.Stage`) around one function of `genprm`; everything about Ray,
resume and files is `run_stage`. The functions here are what the command line, jobs and other
programs call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cluster import inputs
from cluster.critics import critic_calibrations, critic_source, make_scorer
from cluster.outputs import Result
from cluster.row_actor import Row, RowFailure, RowWork
from cluster.stages import Aside, Report, Stage, all_rows, run_stage
from genprm.config import Config, CriticSource, LabelConfig, resolve_model
from genprm.distill import CritiqueWriter, RuleWriter, TeacherWriter, balance, distill_solution
from genprm.engines.base import Engine
from genprm.errors import ConfigError
from genprm.evaluation import audit
from genprm.labeling import label_solution
from genprm.prompts import label_tokens
from genprm.records import (
    CriticInfo,
    CritiqueTarget,
    Judgement,
    LabelledSolution,
    Problem,
    Solution,
    StepJudgement,
    content_id,
)
from genprm.seeds import derive_seed
from genprm.solve import solve_problem

TYPICAL_STEPS = 6  # of a solution, to guess how many sequences a row keeps busy
JUDGED_COLUMNS = {"problem", "steps", "solution", *Judgement.model_fields}


def solve(config: Config, problems: Sequence[str], out: str) -> Report:
    """Sample solutions of problems with the policy: one row per solution.

    Args:
        problems: files, folders, URIs, `hub:NAME` or `task:NAME?n=..&seed=..`.

    Raises:
        InputError, ConfigError, StageError: see `run_stage`, for this and all other stages.
    """
    inputs.check_splitter(config.solve.splitter, "solve.splitter")
    stage = Stage(
        name="solve",
        fingerprint=config.fingerprint("solve"),
        model=_policy,
        make=_make_solver,
        sequences_per_row=config.solve.samples_per_problem,
    )
    return run_stage(stage, config, lambda: inputs.problems(problems), _named(problems), out)


def label(config: Config, solutions: Sequence[str], out: str) -> Report:
    """Value and label every step of solutions by rollouts of the policy: one row each.

    With a second verifier, OUT.disagreements.jsonl has the answers that the two see differently;
    with an audit, OUT.audit.html has rollouts for a person to read.
    """
    inputs.check_splitter(config.label.splitter, "label.splitter")
    stage = Stage(
        name="label",
        fingerprint=config.fingerprint("label"),
        model=_policy,
        make=_make_labeller,
        sequences_per_row=rollouts_at_once(config.label),
        collect=_labelled,
        asides=tuple(_asides_of_labels(config.label)),
    )
    return run_stage(stage, config, lambda: inputs.solutions(solutions), _named(solutions), out)


def rollouts_at_once(config: LabelConfig) -> int:
    """About how many rollouts one solution keeps busy: searches look at a prefix at a time."""
    if config.estimator == "adaptive":
        return config.round_rollouts
    if config.estimator in ("first_zero", "binary_search"):
        return config.rollouts
    return config.rollouts * TYPICAL_STEPS


def distill(config: Config, labels: Sequence[str], out: str) -> Report:
    """Make critique targets of labelled solutions: write, filter by agreement, balance.

    Beside OUT stands OUT.written.jsonl with what the writer wrote for each solution, and why it
    was dropped if it was.
    """
    by_rule = config.distill.writer == "rule"
    pack = config.prompt_pack()
    if not pack.trains:
        raise ConfigError(
            f"pack {pack.name}: its critiques have sections, tools or a verdict of the whole, "
            "which no writer here writes"
        )
    stage = Stage(
        name="distill",
        fingerprint=config.fingerprint("distill"),
        model=None if by_rule else _teacher,
        make=_make_distiller,
        sequences_per_row=config.distill.critiques_per_step * TYPICAL_STEPS,
        collect=_targets_balanced if config.distill.balance else _targets,
        asides=(Aside("written.jsonl", _written),),
    )
    return run_stage(
        stage,
        config,
        lambda: inputs.labelled_solutions(labels, rule_writer=by_rule),
        _named(labels),
        out,
    )


def score(config: Config, rows: Sequence[str], out: str) -> Report:
    """Judge solutions with the critic: one judgement per row, other columns passed through."""
    stage = scoring_stage(config, "score")
    splitter = config.score.splitter
    inputs.check_splitter(splitter, "score.splitter")
    return run_stage(
        stage, config, lambda: inputs.solutions_to_score(rows, splitter), _named(rows), out
    )


def scoring_stage(config: Config, name: str) -> Stage:
    """The stage that judges rows with `id`, `problem` and `steps`; shared with `genprm eval`."""
    fingerprint = config.fingerprint("eval" if name == "eval" else "score")
    if known := critic_calibrations(config):
        fingerprint = content_id(fingerprint, [one.row() for one in known])
    return Stage(
        name=name,
        fingerprint=fingerprint,
        model=critic_source,
        make=_make_scorer,
        check=_check_labels,
        sequences_per_row=config.score.votes * TYPICAL_STEPS,
        collect=_judgements,
    )


def _check_labels(config: Config) -> None:
    """ConfigError if the critic's tokenizer cannot tell the pack's labels apart."""
    if config.engine.kind != "vllm" or not config.score.use_label_probs:
        return
    from transformers import AutoTokenizer

    model = critic_source(config).model
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{model}: no tokenizer: {' '.join(str(error).split())}") from None
    label_tokens(config.prompt_pack(), tokenizer)


async def _make_solver(config: Config, engine: Engine | None) -> RowWork:
    assert engine is not None
    pack = config.prompt_pack()

    async def work(row: Row) -> list[Row]:
        problem = Problem.model_validate(row)
        sampled = await solve_problem(engine, pack, problem, config.solve, config.seed)
        if not sampled:
            raise RowFailure(f"none of {config.solve.samples_per_problem} samples has a step")
        return [solution.row() for solution in sampled]

    return work


async def _make_labeller(config: Config, engine: Engine | None) -> RowWork:
    assert engine is not None
    pack = config.prompt_pack()

    async def work(row: Row) -> list[Row]:
        solution = Solution.model_validate(row)
        labelled = await label_solution(engine, pack, solution, config.label, config.seed)
        return [labelled.row()]

    return work


async def _make_distiller(config: Config, engine: Engine | None) -> RowWork:
    pack = config.prompt_pack()
    writer: CritiqueWriter = (
        RuleWriter(config.distill, config.seed)
        if engine is None
        else TeacherWriter(engine, pack, config.distill, config.seed)
    )

    async def work(row: Row) -> list[Row]:
        labelled = LabelledSolution.model_validate(row)
        return [(await distill_solution(labelled, writer, pack, config.distill)).row()]

    return work


async def _make_scorer(config: Config, engine: Engine | None) -> RowWork:
    assert engine is not None
    scorer = await make_scorer(config, engine)

    async def work(row: Row) -> list[Row]:
        judgement = await scorer.score(
            row["problem"],
            row["steps"],
            id=row["id"],
            seed=derive_seed(config.seed, "score", row["id"]),
        )
        return [_passed_through(row) | judgement.row()]

    return work


def _passed_through(row: Row) -> Row:
    """The columns of a scored row that are neither what was judged nor the judgement."""
    return {name: value for name, value in row.items() if name not in JUDGED_COLUMNS}


def _judgements(
    results: Iterable[Result], config: Config, details: dict[str, Any]
) -> Iterator[Row]:
    """Judgements; a row that failed as a whole has one too, every step of it an `error`."""
    pack = config.prompt_pack()
    critic = CriticInfo(
        model=config.models.critic,
        pack=pack.name,
        fingerprint=pack.fingerprint,
        scoring="label_probs" if config.score.use_label_probs else "hard_votes",
    )
    statuses: Counter[str] = Counter()
    for result in results:
        row = result.rows[0]
        if result.error is not None and "steps" in row:
            failed = failed_judgement(row, result.error, config, critic)
            row = _passed_through(row) | failed.row()
        statuses.update(step["status"] for step in row.get("steps", ()))
        yield {**row, "error": result.error}
    details["steps"] = dict(statuses)


def failed_judgement(row: Row, reason: str, config: Config, critic: CriticInfo) -> Judgement:
    """The judgement of a row that could not be judged: as many steps as it has, none scored."""
    return Judgement(
        id=row["id"],
        steps=[
            StepJudgement(index=i, score=None, verdict=None, status="error", reason=reason)
            for i in range(len(row["steps"]))
        ],
        first_error=-1,
        solution_score=None,
        aggregate=config.score.aggregate,
        covered=False,
        usage={},
        critic=critic,
    )


def _labelled(results: Iterable[Result], config: Config, details: dict[str, Any]) -> Iterator[Row]:
    """Labelled solutions. Counted: labels (of steps), what they cost, what verifiers doubt."""
    counts: Counter[str] = Counter()
    doubts: Counter[str] = Counter(answers=0, disagreements=0)
    for row in all_rows(results, config, details):
        if row["error"] is None:  # else it is the row that came in, with columns of anybody
            del row[audit.COLUMN]
            counts["rollouts"] += row["cost"]["rollouts"]
            counts["generated_tokens"] += row["cost"]["completion_tokens"]
            counts["cached_tokens"] += row["cost"]["cached_tokens"]
            counts["labels"] += sum(label is not None for label in row["labels"])
            doubts["answers"] += row.get("verifier_checked", 0)
            doubts["disagreements"] += len(row.get("verifier_disagreements", ()))
        yield row
    labels = counts.pop("labels")
    per_label = {name: count / labels for name, count in counts.items()} if labels else None
    details["labels"] = {"labels": labels, **counts, "per_label": per_label}
    if config.label.second_verifier:
        details["verifiers"] = dict(doubts)


def _asides_of_labels(config: LabelConfig) -> Iterator[Aside]:
    if config.second_verifier:
        yield Aside("disagreements.jsonl", _disagreements)
    if config.audit:
        yield Aside("audit.html", _to_read, audit.audit_page)


def _disagreements(
    results: Iterable[Result], config: Config, details: dict[str, Any]
) -> Iterator[Row]:
    """Each answer of which the second verifier says the opposite."""
    for row in _without_error(results, config, details):
        for found in row["verifier_disagreements"]:
            named = {name: row[name] for name in ("id", "problem", "task")}
            yield {**named, "reference": row["answer"], **found, "second": not found["correct"]}


def _to_read(results: Iterable[Result], config: Config, details: dict[str, Any]) -> Iterator[Row]:
    return iter(audit.draw(_without_error(results, config, details), config.label.audit))


def _without_error(
    results: Iterable[Result], config: Config, details: dict[str, Any]
) -> Iterator[Row]:
    return (row for row in all_rows(results, config, details) if row["error"] is None)


def _targets(results: Iterable[Result], config: Config, details: dict[str, Any]) -> Iterator[Row]:
    """The targets of all distilled solutions, and the count of what became of those."""
    fates: Counter[str] = Counter()
    for result in results:
        if result.error is not None:
            continue
        row = result.rows[0]
        fates[row["reason"].split(":")[0] if row["reason"] else "agreement"] += 1
        yield from row["targets"]
    details["solutions"] = dict(fates)


def _targets_balanced(
    results: Iterable[Result], config: Config, details: dict[str, Any]
) -> Iterator[Row]:
    targets = [CritiqueTarget.model_validate(r) for r in _targets(results, config, details)]
    kept, counts = balance(targets, config.distill.balance_ratio)
    details["balance"] = {task: asdict(count) for task, count in counts.items()}
    return (target.row() for target in kept)


def _written(results: Iterable[Result], config: Config, details: dict[str, Any]) -> Iterator[Row]:
    for row in all_rows(results, config, details):
        yield {name: value for name, value in row.items() if name != "targets"}


def _policy(config: Config) -> CriticSource:
    return _model(config, config.models.policy)


def _teacher(config: Config) -> CriticSource:
    if not config.distill.teacher_model:
        raise ConfigError("distill.teacher_model: writer teacher needs a model")
    return _model(config, config.distill.teacher_model)


def _model(config: Config, name: str) -> CriticSource:
    """A directory or hub name for an engine of ours; a server has names of its own."""
    return CriticSource(model=resolve_model(name) if config.engine.kind == "vllm" else name)


def _named(sources: Sequence[str]) -> str:
    return " ".join(sources)
