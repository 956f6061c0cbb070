"""Which critic a config means, checked against its prompt pack; for batches and service alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from genprm.config.root import Config
from genprm.config.score import ScoreConfig
from genprm.engines.base import Engine
from genprm.errors import ConfigError
from genprm.models.manifest import check_manifest, weights_sha256
from genprm.models.names import CriticSource, model_identity, resolve_critic
from genprm.records import CriticInfo, ScoreCalibration
from genprm.scoring.calibration import CALIBRATION_FILE, load_calibrations, sampling_of
from genprm.scoring.scorer import Scorer

logger = logging.getLogger(__name__)
NO_CALIBRATION = "none"  # score.calibration, to leave the critic's own aside


def critic_source(config: Config) -> CriticSource:
    """What the config's engine loads as critic: a checked directory or hub name where the engine
    runs here, the server's own name for it where it does not. Loads no weights.

    Raises:
        ConfigError: no model directory, a pack that cannot be loaded, a critic that was trained
            for another pack.
    """
    pack = config.prompt_pack()
    if config.engine.kind != "vllm":
        return CriticSource(model=config.models.critic)
    source = resolve_critic(config.models.critic)
    check_manifest(source.adapter or source.model, pack)
    return source


def with_whole_path(score: ScoreConfig) -> ScoreConfig:
    """The section with its calibration's path made absolute, because actors work elsewhere."""
    known = score.calibration
    if known is None or known == NO_CALIBRATION:
        return score
    return score.model_copy(update={"calibration": str(Path(known).expanduser().resolve())})


def critic_calibrations(config: Config) -> list[ScoreCalibration]:
    """The calibrations that the config names, else those in the critic's directory.

    Raises:
        ConfigError: no such critic, or a file that holds no calibration.
    """
    if config.score.calibration == NO_CALIBRATION:
        return []
    if config.score.calibration is not None:
        return load_calibrations(Path(config.score.calibration).expanduser())
    source = critic_source(config)
    beside = Path(source.adapter or source.model).expanduser() / CALIBRATION_FILE
    return load_calibrations(beside) if beside.is_file() else []


async def make_scorer(config: Config, engine: Engine) -> Scorer:
    """The scorer over a running engine, named by the manifest of its critic.

    Raises:
        ConfigError: model, adapter, tokenizer or pack do not belong together.
    """
    pack, source = config.prompt_pack(), critic_source(config)
    made = await asyncio.to_thread(  # an adapter's base is hashed: gigabytes
        check_manifest,
        source.adapter or source.model,
        pack,
        base=source.model,
        tokenizer=engine.tokenizer,
    )
    version = made.fingerprint if made else None
    if version is None and source.adapter is not None:  # one on its base is told from the next
        version = await asyncio.to_thread(model_identity, source.adapter)
    scorer = Scorer(engine, pack, config.score, source.adapter, version)
    known = critic_calibrations(config)
    fitting = [one for one in known if not _difference(one, scorer.critic, config.score)]
    if known and (differs := _unfit(known, scorer.critic, config.score)):
        named = config.score.calibration is not None
        if named and not fitting:
            raise ConfigError(f"score.calibration: fitted for {differs}")
        whose = "score.calibration" if named else "the critic's own calibration"
        logger.warning("%s is left aside: fitted for %s", whose, differs)
    return Scorer(engine, pack, config.score, source.adapter, version, fitting)


def with_adapter(config: Config, engine: Engine, directory: str) -> Config:
    """The config with another adapter as its critic, one that can be put on a running engine. A
    calibration that the config names is of the critic that it names: another brings its own.

    Raises:
        ConfigError: an engine without adapters, full weights, or an adapter for another base.
    """
    hint = "full weights are changed by deploying the service again"
    if not engine.capabilities.lora:
        raise ConfigError(f"{directory}: the service was started without an adapter; {hint}")
    source = resolve_critic(directory)
    if source.adapter is None:
        raise ConfigError(f"{directory}: not an adapter; {hint}")
    if source.model != engine.name:
        ours, its = weights_sha256(engine.name), weights_sha256(source.model)
        if ours is None or ours != its:
            raise ConfigError(f"{directory}: an adapter for {source.model}, not for {engine.name}")
    score = config.score
    if directory != config.models.critic and score.calibration != NO_CALIBRATION:
        score = score.model_copy(update={"calibration": None})
    models = config.models.model_copy(update={"critic": directory})
    return config.model_copy(update={"models": models, "score": score})


def _unfit(known: Sequence[ScoreCalibration], here: CriticInfo, config: ScoreConfig) -> str | None:
    """Why none of these says what scores mean here, if a request asks for nothing else."""
    early = bool(config.early_stopping.enabled)
    for one in known:
        if one.early_stop == early:
            return _difference(one, here, config)
    return _difference(known[0], here, config) or f"early_stop {not early}, not {early}"


def _difference(fitted: ScoreCalibration, here: CriticInfo, config: ScoreConfig) -> str | None:
    """What a calibration was fitted for and is not so here; a critic with a version may have
    moved. Votes are each request's own matter."""
    names = ("version" if fitted.critic.version else "model", "fingerprint", "scoring")
    then = {f"critic.{name}": getattr(fitted.critic, name) for name in names} | fitted.sampling
    now = {f"critic.{name}": getattr(here, name) for name in names}
    now |= sampling_of(config, fitted.early_stop)
    for name in then.keys() | ({"top_k"} & now.keys()):
        was = then.get(name, 0)  # a top_k that is not there is none
        if name in now and was != now[name]:
            return f"{name} {was!r}, not {now[name]!r}"
    return None
