"""`genprm score`: judgements of solutions by the critic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cluster.stages.actor import RowWork
from cluster.stages.collect import Collector
from cluster.stages.models import TYPICAL_STEPS
from cluster.stages.outputs import Result
from cluster.stages.report import Report
from cluster.stages.run import Stage, run_stage
from genprm.config.root import Config
from genprm.data import sources
from genprm.engines.base import Engine
from genprm.models.names import CriticSource
from genprm.models.tokenizers import load_tokenizer
from genprm.prompts.render import label_tokens
from genprm.records import CriticInfo, Judgement, Row, StepJudgement, content_id
from genprm.scoring.critic import load_critic
from genprm.scoring.validity import describe_untrained
from genprm.util.seeds import derive_seed

JUDGED_COLUMNS = {"problem", "steps", "solution", *Judgement.model_fields}


def score(config: Config, rows: Sequence[str], out: str) -> Report:
    """Judge solutions with the critic: one judgement per row, other columns passed through."""
    config = config.with_pack_sampling()
    stage = scoring_stage(config, "score")
    return run_stage(
        stage,
        config,
        lambda bad: sources.solutions_to_score(rows, config.splitter, bad),
        " ".join(rows),
        out,
    )


def scoring_stage(config: Config, name: str) -> Stage:
    """The stage that judges rows with `id`, `problem` and `steps`; shared with `genprm eval`."""
    decides = config.decides("eval" if name == "eval" else "score")
    if calibrations := load_critic(config).calibrations:
        decides["score.calibration"] = content_id([each.row() for each in calibrations])
    return Stage(
        name=name,
        decides=decides,
        model=_critic_source,
        make=_make_scorer,
        check=_check_labels,
        sequences_per_row=config.score.votes * TYPICAL_STEPS,
        collector=Judgements,
    )


def _critic_source(config: Config) -> CriticSource:
    return load_critic(config).source


def _check_labels(config: Config) -> None:
    """ConfigError if the critic's tokenizer cannot tell the pack's labels apart."""
    if config.engine.kind != "vllm" or not config.score.use_label_probs:
        return
    critic = load_critic(config)
    label_tokens(critic.pack, load_tokenizer(critic.source.model))


async def _make_scorer(config: Config, engine: Engine | None) -> RowWork:
    assert engine is not None
    scorer = await load_critic(config).scorer(engine)

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


class Judgements(Collector):
    """Judgements; a row that failed as a whole has one too, every step of it an `error`. Counts
    the steps by status, and says so if most critiques are invalid."""

    def __init__(self, config: Config):
        super().__init__(config)
        self._statuses: Counter[str] = Counter()
        self._votes: Counter[str] = Counter()

    def rows(self, results: Iterable[Result]) -> Iterator[Row]:
        """See `Collector.rows`."""
        pack = self.config.prompt_pack()
        critic = CriticInfo(
            model=self.config.models.critic,
            pack=pack.name,
            fingerprint=pack.fingerprint,
            scoring="label_probs" if self.config.score.use_label_probs else "hard_votes",
        )
        for row in super().rows(results):
            error = row["error"]
            if error is not None and "steps" in row:
                failed = failed_judgement(row, error, self.config, critic)
                row = _passed_through(row) | failed.row() | {"error": error}
            for step in row.get("steps", ()):
                self._statuses[step["status"]] += 1
                self._votes.update(step["votes"])
            yield row

    def summary(self) -> dict[str, Any]:
        """See `Collector.summary`."""
        steps = {"steps": dict(self._statuses)}
        pack = self.config.prompt_pack().name
        untrained = describe_untrained(pack, self._votes["invalid"], self._votes.total())
        return steps | ({"critic": untrained} if untrained else {})


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
