"""What holds the repository together: who may import what, and what a built wheel carries."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from genprm.util.paths import assets_dir, configs_dir, prompts_dir

ROOT = Path(__file__).parents[1]
HEAVY = (
    *("ray", "vllm", "torch", "transformers", "trl", "peft", "datasets", "openai", "pyarrow"),
    *("scipy", "matplotlib", "jinja2"),
)

IMPORT_WITHOUT = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed", name=name)

sys.meta_path.insert(0, Missing())
import genprm
public = [getattr(genprm, name) for name in genprm.__all__]
import genprm.steps, genprm.tasks, genprm.prompts.verdict, genprm.scoring.voting
import genprm.engines.scripted, genprm.scoring.critic, genprm.evaluation.metrics
import genprm.evaluation.calibrate, genprm.report.summary
import genprm.client, genprm.integrations.openrlhf, genprm.integrations.search_and_learn
import genprm.integrations.trl, genprm.integrations.verl, genprm.integrations.its_hub
import genprm.integrations.skyrl, genprm.integrations.verifiers, genprm.integrations.slime
assert genprm.load_config(None, []) and genprm.load_pack("native")
assert not set({HEAVY!r}) & set(sys.modules)
"""

IMPORT_FROM_WHEEL = """
import sys

sys.path.insert(0, sys.argv[1])
import cluster, genprm
from genprm.util.paths import assets_dir, configs_dir, prompts_dir

for place in (genprm.__file__, prompts_dir(), configs_dir(), assets_dir()):
    assert str(place).startswith(sys.argv[1]), place
assert genprm.load_pack("native").name == "native"
assert genprm.load_config("tiny", [])
"""


def python(code: str, *arguments: str, cwd: Path) -> None:
    """Runs code in a fresh interpreter, somewhere the checkout is not the current folder."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@cache
def imported(file: Path) -> frozenset[str]:
    return frozenset(_imported(file))


def _imported(file: Path) -> Iterator[str]:
    """Top-level packages that a file imports, at any depth, for typing alone included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            first = node.args[0] if node.args else None
            by_name = name in ("import_module", "__import__") and isinstance(first, ast.Constant)
            if by_name and isinstance(first.value, str):
                yield first.value.split(".")[0]


def importers(package: str, *folders: str) -> set[str]:
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert files
    return {str(f.relative_to(ROOT)) for f in files if package in imported(f)}


def test_importing_genprm_needs_no_engine_and_no_trainer(tmp_path: Path) -> None:
    python(IMPORT_WITHOUT, cwd=tmp_path)


@pytest.mark.parametrize("package", ["ray", "cluster"])
def test_the_library_imports_nothing_of_what_runs_it(package: str) -> None:
    assert importers(package, "genprm") == set()


def test_only_the_engine_module_imports_vllm() -> None:
    files = importers("vllm", "genprm", "cluster", "tests", "benchmarks")
    assert "genprm/engines/vllm.py" in files  # the search finds what it looks for
    files -= {"benchmarks/raw_vllm.py"}  # what engines are measured against
    files -= {"tests/helpers/running_engine.py"}  # serves vLLM's own protocol over an engine
    assert {f for f in files if not f.startswith("genprm/engines/vllm")} == set()


def test_only_the_client_imports_httpx() -> None:
    assert importers("httpx", "genprm", "cluster") == {"genprm/client/http.py"}


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("import ray.data as data", {"ray"}),
        ("def f():\n    from ray import serve", {"ray"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ray", {"typing", "ray"}),
        ("importlib.import_module('ray.serve')", {"ray"}),
        ("from . import ray", set()),
    ],
)
def test_imports_are_found_wherever_they_hide(tmp_path: Path, code: str, modules: set[str]) -> None:
    file = tmp_path / "module.py"
    file.write_text(code)
    assert set(imported(file)) == modules


def test_a_checkout_uses_its_own_files() -> None:
    assert prompts_dir() == ROOT / "prompts"
    assert configs_dir() == ROOT / "configs"
    assert assets_dir() == ROOT / "genprm" / "assets"


@pytest.mark.slow
def test_a_wheel_carries_prompts_configs_and_models_and_finds_them(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("genprm-*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    for source, packed in (
        (prompts_dir(), "genprm/_data/prompts"),
        (configs_dir(), "genprm/_data/configs"),
        (assets_dir(), "genprm/assets"),
        (ROOT / "cluster", "cluster"),
        (ROOT / "genprm/report", "genprm/report"),
    ):
        files = [f for f in source.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
        for file in files:
            copy = site / packed / file.relative_to(source)
            assert copy.read_bytes() == file.read_bytes()
    assert (site / "genprm/_data/prompts/native.yaml").is_file()
    assert not list(site.glob("tests"))
    python(IMPORT_FROM_WHEEL, str(site), cwd=tmp_path)
