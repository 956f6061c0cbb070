"""How labels become critiques to train on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genprm.config.base import NAMES_A_MODEL, Section


class RuleConfig(Section):
    """The writer `rule`, for the built-in tasks."""

    error_rate: float = Field(default=0.15, ge=0, le=1)
    """Share of steps that the writer misjudges. At 0 it is an oracle: an upper bound only."""


class TeacherConfig(Section):
    """The writer `teacher`: a language model."""

    model: str | None = Field(default=None, json_schema_extra=NAMES_A_MODEL)
    """A directory, a Hugging Face name, or a server's name."""
    temperature: float = Field(default=0.7, ge=0)
    """Sampling temperature of a critique."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest critique in tokens."""
    show_label: bool = False
    """Show the teacher the rollout label of the step that it critiques."""


class DistillConfig(Section):
    """How labels become critiques to train on."""

    writer: Literal["rule", "teacher"] = "rule"
    """`rule` writes for the built-in tasks and errs on purpose; `teacher` asks a model."""
    rule: RuleConfig = RuleConfig()
    """The writer `rule`."""
    teacher: TeacherConfig = TeacherConfig()
    """The writer `teacher`."""
    critiques_per_step: int = Field(default=1, ge=1)
    """Critiques written for each step."""
    filter: bool = True
    """Keep a solution only where writer and rollouts name the same first error."""
    balance: float | None = Field(default=1.0, ge=1)
    """How many critiques of the more frequent verdict are kept for each of the rarer one, per task.
    Null keeps all."""
