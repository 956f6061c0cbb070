"""`genprm calibrate`: judge labelled rows, learn what scores mean, keep it with the critic.

    DIR/judgements.jsonl    one judgement per row, resumable; beside it
                            judgements.jsonl.skipped.jsonl, if rows were skipped
    DIR/calibration.json    the calibrations (`genprm.evaluation.calibrate`), with held-out figures

Every step gets all of its votes. If the prompt pack judges each step by itself, a second
calibration is fitted to the votes that early stopping would have sampled (rounds draw critiques as
one request does). A copy goes into the critic's own directory, where scoring finds it. A critic
that has none, or that ships with genprm, is left as it is: `score.calibration` can name the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.stages.evaluate import local_folder, read
from cluster.stages.report import Report
from cluster.stages.run import run_stage
from cluster.stages.score import scoring_stage
from genprm.config.root import Config
from genprm.config.score import NO_CALIBRATION, EarlyStoppingConfig, ScoreConfig
from genprm.data import sources, storage
from genprm.data.bad_rows import BadRows
from genprm.data.rows import read_records
from genprm.errors import InputError
from genprm.evaluation.calibrate import fit
from genprm.evaluation.first_error import revote
from genprm.evaluation.reliability import labelled_steps
from genprm.records import CriticInfo, EvaluationRow, Judgement, ScoreCalibration
from genprm.report.tables import TableRow
from genprm.scoring.calibration import CALIBRATION_FILE
from genprm.scoring.critic import load_critic
from genprm.scoring.voting import until_settled
from genprm.util.paths import assets_dir

FILE = "calibration.json"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The calibrations, their file, whether scoring finds them by itself, and what judging cost."""

    calibrations: list[ScoreCalibration]
    path: str
    found_by_scoring: bool
    judging: Report

    def table(self) -> list[TableRow]:
        """Each method on rows that it was not fitted on."""
        return [
            {
                "votes": "until settled" if calibration.early_stop else "all",
                "method": name,
                **figures,
                "chosen": "yes" if name == calibration.method else "",
            }
            for calibration in self.calibrations
            for name, figures in calibration.held_out.items()
        ]


def calibrate(config: Config, data: Sequence[str], out: str) -> Calibrated:
    """Judge evaluation rows as the config says, and fit the critic's calibrations.

    Raises:
        InputError: rows that are not evaluation rows, or too few.
        ConfigError: the folder belongs to something else, or is not a local one.
        StageError: see `run_stage`.
    """
    folder = local_folder(out, FILE)
    raw = {"calibration": NO_CALIBRATION, "stop_at_first_error": False, "return_critiques": True}
    config = config.with_pack_sampling()
    score = config.score
    raw["early_stopping"] = EarlyStoppingConfig(enabled=False)
    config = config.model_copy(update={"score": score.model_copy(update=raw)})
    bad, source = BadRows(config.on_bad_row), " ".join(data)
    located = sources.rows_to_evaluate(data, bad)
    rows = read(located, EvaluationRow, sources.check_evaluation, bad, source)
    judging = run_stage(
        scoring_stage(config, "calibrate"),
        config,
        lambda _: (row.row() for row in rows),
        source,
        f"{folder}/judgements.jsonl",
        bad,
    )
    judgements = read_records(judging.out, Judgement)
    by_itself = config.prompt_pack().unit == "prefix"
    calibrations = fit_calibrations(rows, judgements, score, source, by_itself)
    path, in_critic = folder / FILE, _place_in_critic(config)
    for place in filter(None, (path, in_critic)):
        storage.write_json(str(place), [calibration.row() for calibration in calibrations])
    return Calibrated(calibrations, str(path), in_critic is not None, judging)


def fit_calibrations(
    rows: Sequence[EvaluationRow],
    judgements: Sequence[Judgement],
    score: ScoreConfig,
    source: str,
    by_itself: bool,
) -> list[ScoreCalibration]:
    """A calibration for all votes and, if steps are judged `by_itself`, one for early stopping.

    Raises:
        InputError: rows and judgements do not pair up, are too few, or are of several critics.
    """
    critic = _judge_of(judgements)
    steps, _ = labelled_steps(rows, judgements)
    calibrations = [fit(steps, critic, score, source)]
    if by_itself:
        early = [stopped_early(judgement, score) for judgement in judgements]
        steps, _ = labelled_steps(rows, early)
        calibrations.append(fit(steps, critic, score, source, early_stop=True))
    return calibrations


def stopped_early(judgement: Judgement, score: ScoreConfig) -> Judgement:
    """The judgement that would have come of the critiques which early stopping samples."""
    stopping = score.early_stopping
    steps = [
        revote(step, until_settled(step.critiques or (), stopping.round_votes, stopping.risk))
        for step in judgement.steps
    ]
    return judgement.model_copy(update={"steps": steps})


def _judge_of(judgements: Sequence[Judgement]) -> CriticInfo:
    """The critic that made all scores. Rows without a score are skipped: their `critic` only
    repeats the config.

    Raises:
        InputError: none, or several.
    """
    scored = (j for j in judgements if any(step.score is not None for step in j.steps))
    critics = {j.critic.model_dump_json(): j.critic for j in scored}
    if len(critics) != 1:
        raise InputError(f"{len(critics)} critics judged these rows; a calibration is of one")
    return next(iter(critics.values()))


def _place_in_critic(config: Config) -> Path | None:
    """The file of the critic's own calibration; None if its directory is not ours to write to."""
    directory = Path(load_critic(config).directory).expanduser()
    if not directory.is_dir() or directory.is_relative_to(assets_dir()):
        return None
    return directory / CALIBRATION_FILE
