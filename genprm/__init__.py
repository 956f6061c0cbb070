"""Generative process reward models: critiques of solution steps, votes, and step scores.

A critic reads a problem and the steps so far, writes a critique of the last one and a verdict;
several critiques vote, and the vote is the step's score. This package is the library, without
Ray; `cluster` runs it on Ray and holds the command line. Importing it loads no engine, no torch
and no transformers; the names below load their module when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genprm.config.load import load_config
    from genprm.config.root import Config
    from genprm.engines import build_engine
    from genprm.prompts.packs import PromptPack, load_pack
    from genprm.records import Judgement
    from genprm.scoring.base import ScoreItem, StepScorer
    from genprm.scoring.critic import load_critic
    from genprm.scoring.scorer import Scorer

__version__ = "0.1.0"

__all__ = [
    "Config",
    "Judgement",
    "PromptPack",
    "ScoreItem",
    "Scorer",
    "StepScorer",
    "build_engine",
    "load_config",
    "load_critic",
    "load_pack",
]

_HOME = {
    "Config": "genprm.config.root",
    "Judgement": "genprm.records",
    "PromptPack": "genprm.prompts.packs",
    "ScoreItem": "genprm.scoring.base",
    "Scorer": "genprm.scoring.scorer",
    "StepScorer": "genprm.scoring.base",
    "build_engine": "genprm.engines",
    "load_config": "genprm.config.load",
    "load_critic": "genprm.scoring.critic",
    "load_pack": "genprm.prompts.packs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'genprm' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
