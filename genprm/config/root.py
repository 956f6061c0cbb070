"""The whole config, and which of it decides the rows of a stage."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from genprm.config.base import Section
from genprm.config.distill import DistillConfig
from genprm.config.engine import EngineConfig, ModelsConfig
from genprm.config.label import LabelConfig
from genprm.config.runtime import RuntimeConfig
from genprm.config.score import ScoreConfig
from genprm.config.serve import ServeConfig
from genprm.config.solve import SolveConfig
from genprm.config.train import TrainConfig
from genprm.models.names import model_identity
from genprm.prompts.packs import PromptPack, load_pack

Stage = Literal["solve", "label", "distill", "train", "score", "eval"]


# The engine settings that change what is generated; the others change how fast.
ENGINE_DECIDES = {"kind", "dtype", "max_model_len", "base_url", "extra"}
SPEED_ONLY: dict[str, set[str]] = {
    "label": {"audit"},  # what is shown beside the rows
    "score": {"max_concurrency", "calibration"},  # its content counts, see `scoring_stage`
    "train": {"micro_batch_size", "save_steps", "num_workers"},
}


class Config(Section):
    """Everything a stage can be told."""

    seed: int = 0
    """Seed of sampling, where the engine honours seeds."""
    models: ModelsConfig = ModelsConfig()
    """Which models a stage runs."""
    engine: EngineConfig = EngineConfig()
    """How completions are generated."""
    pack: str = "native"
    """The prompt pack: the name of a shipped one, or a path to a YAML file."""
    pack_texts: str | None = None
    """A YAML file with texts in place of the pack's, such as those that a published critic was
    trained with (`critique: {system: ...}`)."""
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

    def prompt_pack(self) -> PromptPack:
        """The prompt pack, with the texts that it is to have. Raises ConfigError if either cannot
        be loaded."""
        return load_pack(self.pack, self.pack_texts)

    def fingerprint(self, stage: Stage) -> str:
        """16 hex digits of what decides the rows that `stage` writes.

        Two configs that differ only in speed, placement or the service agree. Models count by
        their weights where they are directories, by their names elsewhere; the prompt pack counts
        by its content. Raises ConfigError if the pack cannot be loaded.
        """
        models: dict[str, str] = {}
        if stage in ("solve", "label"):
            models["policy"] = self.models.policy
        elif stage == "train":
            models["init"] = self.train.init or self.models.policy
        elif stage == "distill" and self.distill.writer == "teacher":
            models["teacher"] = self.distill.teacher_model or ""
        elif stage in ("score", "eval"):
            models["critic"] = self.models.critic
        chosen: dict[str, Any] = {
            "stage": stage,
            "seed": self.seed,
            "models": {role: model_identity(name) for role, name in models.items()},
        }
        section = "score" if stage == "eval" else stage
        chosen[section] = getattr(self, section).model_dump(
            mode="json", exclude=SPEED_ONLY.get(section)
        )
        if stage != "train":  # training rows carry their prompts as text
            chosen["pack"] = self.prompt_pack().fingerprint
        if stage in ("solve", "label", "score", "eval") or "teacher" in models:
            chosen["engine"] = self.engine.model_dump(mode="json", include=ENGINE_DECIDES)
        blob = json.dumps(chosen, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(blob.encode()).hexdigest()[:16]
