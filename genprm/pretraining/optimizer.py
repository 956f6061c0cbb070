"""Muon for the matrices inside the blocks, AdamW for the rest, as one torch optimizer.

Muon (Jordan et al. 2024) needs about half the tokens of AdamW on models of this size; torch ships
both, but transformers' Trainer takes one optimizer object.
"""

from __future__ import annotations

from typing import Any

import torch


class MuonWithAdamW(torch.optim.Optimizer):
    """Steps two torch optimizers as one; their parameter groups are shared, so that a scheduler
    that sets learning rates here sets them there."""

    def __init__(self, model: torch.nn.Module, lr: float, weight_decay: float):
        matrices: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, parameter in model.named_parameters():
            inside = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
            (matrices if inside else rest).append(parameter)
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        super().__init__([*matrices, *rest], {"lr": lr})
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Any = None) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
