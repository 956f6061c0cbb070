"""The critic of a config: found and checked once, then a scorer on any engine.

`load_critic` reads the prompt pack, the manifest and the calibrations, and loads no weights.
Batches, the service and other programs all go through it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from genprm.config.root import Config
from genprm.config.score import NO_CALIBRATION, ScoreConfig
from genprm.engines.base import Engine
from genprm.errors import ConfigError
from genprm.models.manifest import Manifest, check_manifest, load_manifest, weights_sha256
from genprm.models.names import CriticSource, model_identity, resolve_critic
from genprm.prompts.packs import PromptPack
from genprm.records import CriticInfo, ScoreCalibration
from genprm.scoring.calibration import CALIBRATION_FILE, load_calibrations, sampling_of
from genprm.scoring.scorer import Scorer, critic_info

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Critic:
    """A critic that exists and fits its prompt pack."""

    config: Config
    """The config, with the pack's own sampling in `score` where it sets none."""
    kind: str
    """How it judges: a key of `SCORERS`."""
    source: CriticSource
    """What an engine loads."""
    pack: PromptPack
    """What it is asked with."""
    manifest: Manifest | None
    """What it was made from; None for a model that genprm did not train."""
    calibrations: tuple[ScoreCalibration, ...]
    """What its scores may mean: those of `score.calibration`, else those in its directory."""

    @property
    def directory(self) -> str:
        """The directory of the adapter or else of the model, or the model's name."""
        return self.source.adapter or self.source.model

    async def scorer(self, engine: Engine) -> Scorer:
        """The scorer over a running engine, which has loaded `source`.

        Raises:
            ConfigError: adapter, base or tokenizer do not belong together; a calibration that the
                config names was fitted for something else.
        """
        await asyncio.to_thread(  # an adapter's base is hashed: gigabytes
            check_manifest,
            self.directory,
            self.pack,
            base=self.source.model,
            tokenizer=engine.tokenizer,
        )
        return await SCORERS[self.kind](self, engine)

    def with_adapter(self, engine: Engine, directory: str) -> Critic:
        """The critic with another adapter, one that a running engine can put on. A calibration
        that the config names belongs to the critic that it names: another one brings its own.

        Raises:
            ConfigError: an engine without adapters, full weights, an adapter for another base, or
                what `load_critic` refuses.
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
                raise ConfigError(
                    f"{directory}: an adapter for {source.model}, not for {engine.name}"
                )
        config = self.config
        score = config.score
        if directory != config.models.critic and score.calibration != NO_CALIBRATION:
            score = score.model_copy(update={"calibration": None})
        models = config.models.model_copy(update={"critic": directory})
        return load_critic(config.model_copy(update={"models": models, "score": score}))


def load_critic(config: Config) -> Critic:
    """The critic that a config names. Where the engine runs here it is a directory or a Hugging
    Face name, elsewhere the server's own name for it.

    Raises:
        ConfigError: a directory without a model, a pack that cannot be loaded, a critic that was
            trained for another pack, a file without a calibration.
    """
    config = config.with_pack_sampling()
    pack = config.prompt_pack()
    name = config.models.critic
    source = resolve_critic(name) if config.engine.kind == "vllm" else CriticSource(model=name)
    directory = source.adapter or source.model
    manifest = load_manifest(directory)
    kind = "critic" if manifest is None else manifest.kind
    if kind not in SCORERS:
        scored = ", ".join(SCORERS)
        raise ConfigError(f"{directory}: of kind {kind!r}, which does not score; kinds: {scored}")
    check_manifest(directory, pack)
    named, own = config.score.calibration, Path(directory).expanduser() / CALIBRATION_FILE
    calibrations: list[ScoreCalibration] = []
    if named is None and own.is_file():
        calibrations = load_calibrations(own)
    elif named is not None and named != NO_CALIBRATION:
        calibrations = load_calibrations(Path(named).expanduser())
    return Critic(config, kind, source, pack, manifest, tuple(calibrations))


async def _generative_scorer(critic: Critic, engine: Engine) -> Scorer:
    score, source = critic.config.score, critic.source
    version = critic.manifest.fingerprint if critic.manifest else None
    if version is None and source.adapter is not None:  # an adapter may follow on its own base
        version = await asyncio.to_thread(model_identity, source.adapter)
    info = critic_info(engine, critic.pack, score, version)
    fitting = [each for each in critic.calibrations if not _misfit(each, info, score)]
    if critic.calibrations and (misfit := _misfit_by_default(critic.calibrations, info, score)):
        named = score.calibration is not None
        if named and not fitting:
            raise ConfigError(f"score.calibration: fitted for {misfit}")
        whose = "score.calibration" if named else "the critic's own calibration"
        logger.warning("%s is left aside: fitted for %s", whose, misfit)
    return Scorer(engine, critic.pack, score, source.adapter, version, fitting)


# How a critic judges, by the kind in its manifest.
SCORERS: dict[str, Callable[[Critic, Engine], Awaitable[Scorer]]] = {"critic": _generative_scorer}


def _misfit_by_default(
    calibrations: Sequence[ScoreCalibration], critic: CriticInfo, config: ScoreConfig
) -> str | None:
    """Why a request that sets no option gets no calibrated scores, as a phrase; None if it does."""
    early = bool(config.early_stop)
    for calibration in calibrations:
        if calibration.early_stop == early:
            return _misfit(calibration, critic, config)
    return _misfit(calibrations[0], critic, config) or f"early_stop {not early}, not {early}"


def _misfit(calibration: ScoreCalibration, critic: CriticInfo, config: ScoreConfig) -> str | None:
    """The first setting in which a critic differs from the one that a calibration was fitted for,
    as a phrase; None if it fits. Critics with a version are compared by it, not by their path,
    since they may have moved; votes are not compared, since each request has its own."""
    names = ("version" if calibration.critic.version else "model", "fingerprint", "scoring")
    fitted = {f"critic.{name}": getattr(calibration.critic, name) for name in names}
    fitted |= calibration.sampling
    here = {f"critic.{name}": getattr(critic, name) for name in names}
    here |= sampling_of(config, calibration.early_stop)
    for name in fitted.keys() | ({"top_k"} & here.keys()):
        value = fitted.get(name, 0)  # a top_k that is left out is 0
        if name in here and value != here[name]:
            return f"{name} {value!r}, not {here[name]!r}"
    return None
