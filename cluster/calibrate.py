"""`genprm calibrate`: judge labelled rows, learn what scores mean, keep it with the critic.

    DIR/judgements.jsonl    one judgement per row, resumable
    DIR/calibration.json    the calibration (`genprm.calibration`), with its held-out figures

A copy goes into the critic's own directory, where scoring finds it. A critic without one, or one
that ships with genprm, is left as it is: there `score.calibration` names the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import inputs, storage
from cluster.critics import NO_CALIBRATION, critic_source
from cluster.evaluate import local_folder
from cluster.pipelines import scoring_stage
from cluster.stages import Report, run_stage
from genprm.calibration import CALIBRATION_FILE, fit
from genprm.config import Config
from genprm.errors import InputError
from genprm.evaluation.reliability import labelled_steps
from genprm.evaluation.tables import TableRow
from genprm.models import assets_dir
from genprm.records import CriticInfo, EvaluationRow, Judgement, ScoreCalibration
from genprm.rows import read_records

FILE = "calibration.json"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What was learnt, where it stands, whether scoring finds it there, and what judging cost."""

    calibration: ScoreCalibration
    path: str
    found_by_scoring: bool
    judging: Report

    def table(self) -> list[TableRow]:
        """Each method on rows that it was not fitted on."""
        return [
            {"method": name, **figures, "chosen": "yes" if name == self.calibration.method else ""}
            for name, figures in self.calibration.held_out.items()
        ]


def calibrate(config: Config, data: Sequence[str], out: str) -> Calibrated:
    """Judge evaluation rows as the config says, and fit the critic's calibration.

    Raises:
        InputError: rows that are no evaluation rows, or too few.
        ConfigError: the folder belongs to something else, or is no local one.
        StageError: see `run_stage`.
    """
    folder = local_folder(out, FILE)
    raw = {"calibration": NO_CALIBRATION, "stop_at_first_error": False, "return_critiques": False}
    config = config.model_copy(update={"score": config.score.model_copy(update=raw)})
    judging = run_stage(
        scoring_stage(config, "calibrate"),
        config,
        lambda: inputs.records(data, EvaluationRow, inputs.check_steps),
        " ".join(data),
        f"{folder}/judgements.jsonl",
    )
    judgements = read_records(judging.out, Judgement)
    rows = inputs.records(data, EvaluationRow, inputs.check_steps)
    steps, _ = labelled_steps([EvaluationRow.model_validate(row) for row in rows], judgements)
    calibration = fit(steps, _judge_of(judgements), config.score, " ".join(data))
    path, beside = folder / FILE, _place_in_critic(config)
    for place in filter(None, (path, beside)):
        storage.write_json(str(place), calibration.row())
    return Calibrated(calibration, str(path), beside is not None, judging)


def _judge_of(judgements: Sequence[Judgement]) -> CriticInfo:
    """The one critic behind all scores; a row that failed names one without having asked it."""
    scored = (j for j in judgements if any(step.score is not None for step in j.steps))
    critics = {j.critic.model_dump_json(): j.critic for j in scored}
    if len(critics) != 1:
        raise InputError(f"{len(critics)} critics judged these rows; a calibration is of one")
    return next(iter(critics.values()))


def _place_in_critic(config: Config) -> Path | None:
    """Where the critic's own calibration stands; None for one that is not ours to write to."""
    source = critic_source(config)
    directory = Path(source.adapter or source.model).expanduser()
    if not directory.is_dir() or directory.is_relative_to(assets_dir()):
        return None
    return directory / CALIBRATION_FILE
