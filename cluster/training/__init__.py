"""Training on Ray: the driver, its workers, and the folder that a model appears in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.training.driver import train

__all__ = ["train"]


def __getattr__(name: str) -> Any:
    """Load `train` when it is first used: workers import this package without the driver."""
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cluster.training.driver import train

    return train
