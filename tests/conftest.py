"""What every test shares: settings, what takes long to start, and the marks of what starts it.

A run of the suite starts one Ray, one vLLM engine and one service with its critic for all tests
that need no other. A fixture that starts one of them, or a browser, marks every test that asks for
it; `make test-fast` leaves those out, and what trains a model.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from ray_workers import helpers_on_path
from tiny_model import make_tiny_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from running_engine import RunningEngine

# nothing is timed, for machines are busy; `make test-fast` asks for the second
UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("genprm", **UNTIMED)
settings.register_profile("fast", **UNTIMED, max_examples=20)
settings.load_profile("genprm")

# threads of a model that wait for others would spin on cores that other tests need
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# a shell starts what it puts in the background deaf to Ctrl-C, and children of that stay so
signal.signal(signal.SIGINT, signal.default_int_handler)

MARKS = {  # by fixture
    "browser": "browser",
    "starts_engine": "engine",
    "starts_ray": "ray",
    "tiny_model": "training",
}


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures, and put them in order: what is quick comes first."""
    for item in items:
        for fixture in MARKS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKS[fixture])
    items.sort(key=_place)


# files whose tests start engines and Ray
HEAVY = ("tests/cluster/", "tests/engines/test_vllm.py", "tests/scoring/test_heads.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Over two processes one takes the heavy tests, which share a Ray and an engine and would take
    the cores from each other side by side, and the other all the rest, test by test.

    pytest-xdist 3.8 has groups for this, which pytest 9.2 leaves without effect.
    """
    from xdist.scheduler import LoadScopeScheduling

    class HeavyInOne(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            heavy = nodeid.startswith(HEAVY) and not nodeid.startswith("tests/cluster/serving/")
            return "heavy" if heavy else nodeid

    return HeavyInOne(config, log)


def _place(item: pytest.Item) -> int:
    """Engines come before Ray, and what runs them in Ray before what does not: a service starts
    the Ray that others share."""
    marks = {mark.name for mark in item.iter_markers()}
    if "ray" in marks:
        return 4 if "engine" in marks else 5
    return 3 if "engine" in marks else 2 if "browser" in marks else 1 if "training" in marks else 0


@pytest.fixture(scope="session")
def starts_engine() -> None:
    """Asked for by whatever starts a vLLM engine."""


@pytest.fixture(scope="session")
def starts_ray() -> Iterator[None]:
    """Asked for by whatever starts Ray; the Ray of this process ends after the last test."""
    yield
    from cluster import runtime

    runtime.stop()


@pytest.fixture(scope="session")
def ray_session(starts_ray: None) -> None:
    """A Ray of two logical CPUs in this process, whose workers find the tests' helpers."""
    from cluster import runtime
    from genprm.config.runtime import RuntimeConfig

    with helpers_on_path():
        runtime.start(RuntimeConfig(num_cpus=2))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the tiny random model; nothing is written to it."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def engine_on_tiny(starts_engine: None, tiny_model: Path) -> Iterator[RunningEngine]:
    """A vLLM engine on the tiny model, and the event loop that it lives in."""
    from genprm.engines.vllm import VllmEngine
    from running_engine import CONFIG, RunningEngine

    with asyncio.Runner() as runner:
        engine = runner.run(VllmEngine.start(CONFIG, str(tiny_model), adapter_rank=8))
        yield RunningEngine(runner, engine, tiny_model)
        runner.run(engine.close())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a file: other files call `asyncio.run`, see `chromium`."""
    from browser import chromium

    with chromium() as running:
        yield running
