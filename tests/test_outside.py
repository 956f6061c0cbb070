"""What users, jobs and Serve files name from outside: import paths, the HTTP schema, the commands.

Each is frozen: a change here breaks somebody's program, and is made on purpose or not at all.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from typing import Any

import pytest

from cluster.commands.table import build_parser
from goldens import golden
from scripted_routes import routes

PUBLIC = {
    "genprm": "Config Judgement PromptPack ScoreItem Scorer StepScorer build_engine load_config"
    " load_pack",
    "genprm.client": "AsyncClient Client",
    "genprm.verifiers": "get_verifier verifier_for",
    "genprm.integrations.trl": "CriticReward",
    "genprm.integrations.openrlhf": "build_reward_func",
    "genprm.integrations.verl": "step_reward_manager compute_score",
    "genprm.integrations.search_and_learn": "PRM",
    "genprm.integrations.its_hub": "CriticPRM CriticORM",
    "genprm.integrations.skyrl": "critic_env",
    "genprm.integrations.verifiers": "build_reward_func",
    "genprm.integrations.slime": "build_reward_func",
    "cluster": "Client ScorerActor connect",
    "cluster.cli": "main",
    "cluster.client": "AsyncClient Client",
    "cluster.actors": "ScorerActor connect",
    "cluster.pipelines": "solve label distill score",
    "cluster.runtime": "engine_options start stop session",
    "cluster.service": "build_app deploy run stop",
    "cluster.training": "train",
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_stay_where_they_are(module: str) -> None:
    namespace = import_module(module)
    missing = [name for name in PUBLIC[module].split() if not hasattr(namespace, name)]
    assert missing == []


def without_words(schema: Any) -> Any:
    """The schema without its prose, which may be worded anew."""
    if isinstance(schema, list):
        return [without_words(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_words(value)
        for key, value in schema.items()
        if not (key in ("description", "summary", "operationId") and isinstance(value, str))
    }


def test_the_http_schema_is_frozen() -> None:
    schema = without_words(routes().openapi())
    del schema["info"]
    golden("outside-http", json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def test_the_command_line_is_frozen() -> None:
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    lines = []
    for name, command in sorted(commands.choices.items()):
        lines.append(name)
        for action in command._actions:
            names = "|".join(action.option_strings) or action.dest.upper()
            traits = [
                f"nargs={action.nargs}" if action.nargs not in (None, 0) else "",
                "required" if action.required else "",
                "flag" if action.nargs == 0 else "",
            ]
            lines.append("  " + " ".join(filter(None, [names, *traits])))
    golden("outside-commands", "\n".join(lines) + "\n")
