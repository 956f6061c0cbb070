"""How labels become critiques to train on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genprm.config.base import Section


class DistillConfig(Section):
    """How labels become critiques to train on."""

    writer: Literal["rule", "teacher"] = "rule"
    """`rule` writes for the built-in tasks and errs on purpose; `teacher` asks a model."""
    writer_error_rate: float = Field(default=0.15, ge=0, le=1)
    """Share of steps that the rule writer misjudges. At 0 it is an oracle: an upper bound only."""
    filter: bool = True
    """Keep a solution only where writer and rollouts name the same first error."""
    balance: bool = True
    """Limit, per task, critiques of the more frequent verdict by those of the rarer one."""
    balance_ratio: float = Field(default=1.0, ge=1)
    """How many of the more frequent verdict are kept for each of the rarer one."""
    critiques_per_step: int = Field(default=1, ge=1)
    """Critiques written for each step."""
    teacher_model: str | None = None
    """The teacher, for `writer: teacher`: a directory, a Hugging Face name, or a server's name."""
    teacher_temperature: float = Field(default=0.7, ge=0)
    """Sampling temperature of the teacher."""
    teacher_max_tokens: int = Field(default=512, ge=1)
    """Longest critique of the teacher in tokens."""
    show_label: bool = False
    """Tell the teacher the rollout label of the step that it critiques."""
