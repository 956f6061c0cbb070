"""The floor plan: which rooms there are, from the ground up, and that imports only go down.

A room is a module or folder at the top of a package. It may import what is on a lower line, and
nothing of its own line or above. Imports for typing alone and inside functions count, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from places import ROOT

FLOORS = {
    "genprm": """
        generation, errors
        records
        util
        steps, tasks
        verifiers
        prompts
        models
        config
        engines
        policy
        scoring
        rewards, search, client
        labeling, distill
        training
        pretraining
        evaluation, data
        report, integrations
    """,
    "cluster": """
        runtime, client
        stages, serving
        training, pipelines, actors
        service, jobs
        quickstart
        commands
        cli, examples
    """,
}


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (ROOT / package).rglob("*.py")
    }


def imported(file: Path, modules: dict[str, Path]) -> Iterator[str]:
    """The modules among `modules` that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & modules.keys()
            yield from inner or ({node.module} & modules.keys())
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & modules.keys()


def room(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_is_on_the_floor_plan(package: str) -> None:
    planned = {name for floor in FLOORS[package].split("\n") for name in floor.split(", ")}
    rooms = {room(module) for module in modules(package) if "." in module}
    assert rooms == {name.strip() for name in planned if name.strip()}


@pytest.mark.parametrize("package", FLOORS)
def test_imports_go_down_only(package: str) -> None:
    floors = [line.strip().split(", ") for line in FLOORS[package].strip().split("\n")]
    floor_of = {name: number for number, names in enumerate(floors) for name in names}
    ours = modules(package)
    wrong = [
        f"{module} imports {other}"
        for module, file in ours.items()
        if "." in module  # the face of the package names what it likes
        for other in imported(file, ours)
        if "." in other and room(other) != room(module)
        if floor_of[room(other)] >= floor_of[room(module)]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", FLOORS)
def test_no_module_imports_itself_by_a_detour(package: str) -> None:
    ours = modules(package)
    imports = {module: set(imported(file, ours)) - {module} for module, file in ours.items()}
    while True:  # remove modules without remaining imports: cycles stay
        free = {module for module, others in imports.items() if not others & imports.keys()}
        if not free:
            break
        imports = {module: others for module, others in imports.items() if module not in free}
    assert {module: sorted(others & imports.keys()) for module, others in imports.items()} == {}
