"""From step scores to probabilities: applying what `genprm calibrate` fitted.

Labels end at the first error, so a calibrated score is the probability that a step is correct if
all steps before it are. `genprm.evaluation.calibrate` fits; applying needs no library.
"""

from __future__ import annotations

import bisect
import json
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from genprm.config.score import ScoreConfig
from genprm.errors import ConfigError
from genprm.records import ScoreCalibration
from genprm.util.validation import first_problem

CALIBRATION_FILE = "genprm_calibration.json"  # in a critic's directory


class Curve(NamedTuple):
    """Points of a rising function of the score, linear between them and flat outside."""

    scores: list[float]
    probabilities: list[float]

    def at(self, score: float) -> float:
        """The value of the function at a score."""
        place = bisect.bisect_right(self.scores, score)
        if place in (0, len(self.scores)):
            return self.probabilities[min(place, len(self.scores) - 1)]
        (x0, x1), (y0, y1) = (ends[place - 1 : place + 1] for ends in self)
        return y0 + (y1 - y0) * (score - x0) / (x1 - x0)


def sampling_of(config: ScoreConfig, early_stop: bool) -> dict[str, float]:
    """The settings besides votes that decide how a critic's scores are spread; a calibration holds
    for one set of them. `max_critique_tokens` is not among them: a critic that is often cut off
    needs more tokens first."""
    sampling: dict[str, float] = {"temperature": config.temperature, "top_p": config.top_p}
    if config.top_k:
        sampling["top_k"] = config.top_k
    if early_stop:
        stopping = config.early_stopping
        sampling |= {"round_votes": stopping.round_votes, "stop_risk": stopping.risk}
    return sampling


def calibrated(calibration: ScoreCalibration, score: float) -> float:
    """The probability that a step with this score is correct, if all before it are."""
    return Curve(calibration.scores, calibration.probabilities).at(score)


def load_calibrations(path: str | Path) -> list[ScoreCalibration]:
    """The calibrations in a file of `genprm calibrate`: one for all votes, and perhaps one for
    early stopping.

    Raises:
        ConfigError: a file that cannot be read, or without a calibration in it.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = content if isinstance(content, list) else [content]
        calibrations = [ScoreCalibration.model_validate(row) for row in rows]
    except OSError as error:
        raise ConfigError(f"score.calibration: {path}: {error.strerror}") from None
    except ValidationError as error:
        key, message, _ = first_problem(error)
        field = f"field {key!r}: " if key else ""
        raise ConfigError(f"score.calibration: {path}: {field}{message}") from None
    except ValueError:
        raise ConfigError(f"score.calibration: {path}: not JSON") from None
    if not calibrations:
        raise ConfigError(f"score.calibration: {path}: no calibration in it")
    return calibrations
