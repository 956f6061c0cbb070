"""The whole config, and which parts of it decide what a stage writes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationError, field_validator

from genprm.config.base import Section, check_greedy, named_model
from genprm.config.distill import DistillConfig
from genprm.config.engine import EngineConfig, ModelsConfig
from genprm.config.label import LabelConfig
from genprm.config.runtime import RuntimeConfig
from genprm.config.score import NO_CALIBRATION, ScoreConfig
from genprm.config.serve import ServeConfig
from genprm.config.solve import SolveConfig
from genprm.config.train import TrainConfig
from genprm.errors import ConfigError
from genprm.prompts.packs import PromptPack, load_pack
from genprm.steps import SPLITTERS
from genprm.util.paths import absolute
from genprm.util.validation import first_problem

Work = Literal["solve", "label", "distill", "distill_by_teacher", "train", "score", "eval"]

# What decides the rows of each kind of work, by key: of a section, those of its fields that do.
DECIDES: dict[Work, tuple[str, ...]] = {
    "solve": ("seed", "splitter", "solve", "models.policy", "pack", "engine"),
    "label": ("seed", "splitter", "label", "models.policy", "pack", "engine"),
    "distill": ("seed", "distill", "pack"),
    "distill_by_teacher": ("seed", "distill", "pack", "engine"),
    "train": ("train", "pack"),
    "score": ("seed", "splitter", "score", "models.critic", "pack", "engine"),
    "eval": ("seed", "score", "models.critic", "pack", "engine"),
}


class Config(Section):
    """All settings of genprm."""

    seed: int = 0
    """Seed of sampling, where the engine honours seeds."""
    splitter: str = "lines"
    """How solutions are split into steps: lines, blank_lines, numbered, sentences or code. Rollouts
    go on in that form. `genprm solve` records it, and stages refuse rows that were split by
    another."""
    pack: str = "native"
    """The prompt pack: the name of a shipped one, or a path to a YAML file."""
    pack_texts: str | None = None
    """A YAML file with texts in place of the pack's, such as those that a published critic was
    trained with (`critique: {system: ...}`)."""
    on_bad_row: Literal["fail", "skip"] = "fail"
    """What happens to a row that cannot be used: `fail` ends the command with one line that names
    the row, `skip` leaves it out, counts it and writes it with the reason to OUT.skipped.jsonl."""
    models: ModelsConfig = ModelsConfig()
    """Which models a stage runs."""
    engine: EngineConfig = EngineConfig()
    """How completions are generated."""
    solve: SolveConfig = SolveConfig()
    """How the policy writes solutions."""
    label: LabelConfig = LabelConfig()
    """How rollouts value the steps of a solution."""
    distill: DistillConfig = DistillConfig()
    """How labels become critiques to train on."""
    train: TrainConfig = TrainConfig()
    """How a critic is fine-tuned."""
    score: ScoreConfig = ScoreConfig()
    """How steps are judged."""
    serve: ServeConfig = ServeConfig()
    """The scoring service."""
    runtime: RuntimeConfig = RuntimeConfig()
    """Where stages run on Ray, and on how much of it."""

    @field_validator("splitter")
    @classmethod
    def _exists(cls, name: str) -> str:
        if name not in SPLITTERS:
            raise ValueError(f"no such splitter; there are {', '.join(SPLITTERS)}")
        return name

    def prompt_pack(self) -> PromptPack:
        """The prompt pack, with the texts that replace its own. Raises ConfigError if either cannot
        be loaded."""
        return load_pack(self.pack, self.pack_texts)

    def with_pack_sampling(self) -> Config:
        """The config with the prompt pack's own sampling in `score`, where it sets none itself.

        Raises:
            ConfigError: the pack cannot be loaded, or its sampling and `score` contradict each
                other.
        """
        sampling = self.prompt_pack().sampling.model_dump(exclude_none=True)
        settings = {**sampling, **self.score.model_dump(exclude_unset=True)}
        if (early := settings.pop("early_stop", None)) is not None:
            own = settings.get("early_stopping", {})
            settings["early_stopping"] = {"enabled": early, **own}
        try:
            score = ScoreConfig.model_validate(settings)
            check_greedy(score.temperature, score.votes, "votes")
        except ValidationError as error:
            key, message, _ = first_problem(error)
            where = f"score.{key}" if key else "score"
            raise ConfigError(f"config key '{where}': {message}") from None
        except ValueError as error:
            raise ConfigError(f"config key 'score': {error}") from None
        return self.model_copy(update={"score": score}) if sampling else self

    def anchored(self) -> Config:
        """The config with its local paths made absolute, for processes that work in other
        folders."""
        models = {role: absolute(name) for role, name in self.models.model_dump().items()}
        teacher, calibration = self.distill.teacher, self.score.calibration
        if teacher.model:
            teacher = teacher.model_copy(update={"model": absolute(teacher.model)})
        if calibration not in (None, NO_CALIBRATION):
            calibration = absolute(calibration)
        return self.model_copy(
            update={
                "pack": absolute(self.pack),
                "pack_texts": absolute(self.pack_texts) if self.pack_texts else None,
                "score": self.score.model_copy(update={"calibration": calibration}),
                "models": self.models.model_copy(update=models),
                "distill": self.distill.model_copy(update={"teacher": teacher}),
            }
        )

    def decides(self, work: Work, *, uses_pack: bool = True) -> dict[str, Any]:
        """The dotted keys and JSON values that decide what is written (`DECIDES`).

        Two configs that differ only in speed, placement or the service agree. Models count by
        their weights where they are directories, by their names elsewhere; the prompt pack counts
        by its content, and not at all without `uses_pack`. Raises ConfigError if the pack cannot be
        loaded.
        """
        config = self.with_pack_sampling() if "score" in DECIDES[work] else self
        decides: dict[str, Any] = {}
        for path in DECIDES[work]:
            if path == "pack" and not uses_pack:
                continue
            value: Any = config
            for name in path.split("."):
                value = getattr(value, name)
            if isinstance(value, Section):
                decides.update(value.deciding(path))
            elif path == "pack":
                pack = self.prompt_pack()
                decides[path] = f"{pack.name} {pack.fingerprint}"
            else:
                decides[path] = named_model(value) if path.startswith("models.") else value
        return decides
