"""Runs `genprm` on Ray: stages, training, the scoring service, jobs and the command line.

Importing this package imports no Ray; `connect` and `ScorerActor` do when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.actors import ScorerActor, connect
    from genprm.client.http import Client

__all__ = ["Client", "ScorerActor", "connect"]

_HOMES = {"connect": "actors", "ScorerActor": "actors", "Client": "client"}


def __getattr__(name: str) -> Any:
    """Load a name of the public interface from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
