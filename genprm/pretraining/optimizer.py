"""Muon for the matrices inside the blocks, AdamW for the rest, as one torch optimizer.

Muon (Jordan et al. 2024) needs about half the tokens of AdamW on models of this size. torch's own
computes in bfloat16, which CPUs without such instructions do 50 times slower than float32: there
that update took longer than the gradients, so genprm has its own.
"""

from __future__ import annotations

import math
from typing import Any

import torch

# Jordan et al. 2024: steepest at zero; singular values end between 0.7 and 1.2
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
# An update of this root mean square per unit of learning rate, as AdamW's are (Liu et al. 2025,
# 2502.16982): one learning rate serves both.
ADAMW_RMS = 0.2


def orthogonalized(matrices: torch.Tensor) -> torch.Tensor:
    """About the nearest matrices of orthonormal rows (or columns), by Newton-Schulz iteration.

    `matrices` is one, or a batch of them (the last two dimensions are the matrix).
    """
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized; decoupled weight decay. Takes matrices only."""

    def __init__(self, params: list[torch.nn.Parameter], lr: float, weight_decay: float):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in alike.items():
                scale = ADAMW_RMS * math.sqrt(max(shape))
                updates = orthogonalized(torch.stack([self._nesterov(p) for p in parameters]))
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-group["lr"] * scale)

    def _nesterov(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
        return parameter.grad.lerp(momentum, MOMENTUM)


class MuonWithAdamW(torch.optim.Optimizer):
    """Steps two torch optimizers as one, since transformers' Trainer takes one object; their
    parameter groups are shared, so that a scheduler that sets learning rates here sets them there.
    """

    def __init__(self, model: torch.nn.Module, lr: float, weight_decay: float):
        matrices: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, parameter in model.named_parameters():
            inside = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
            (matrices if inside else rest).append(parameter)
        self.parts: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=lr, weight_decay=weight_decay),
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
