"""A critic that is replaced while it judges, over a scripted engine that knows adapters by path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpe import bpe
from cluster.serving.host import CriticHost
from genprm.config.root import Config
from genprm.engines.scripted import ScriptedEngine
from genprm.errors import ConfigError, EngineError
from genprm.models.manifest import weights_sha256, write_manifest
from genprm.prompts.packs import load_pack
from genprm.records import ScoreCalibration
from genprm.scoring.base import ScoreItem
from genprm.scoring.calibration import CALIBRATION_FILE, sampling_of
from genprm.scoring.critic import load_critic
from manifests import a_manifest
from scripted_critic import critique, label_probs

ITEM = ScoreItem("p", ["right", "wrong", "right"])
EARLY = {"enabled": True}


def weights(path: Path, content: str) -> Path:
    path.mkdir()
    name = "adapter_model.safetensors" if "adapter" in content else "model.safetensors"
    (path / name).write_text(content)
    return path


def model(path: Path, content: str = "base") -> Path:
    weights(path, content)
    (path / "config.json").write_text("{}")
    return path


def adapter(path: Path, base: Path) -> Path:
    weights(path, f"adapter {path.name}")
    settings = {"base_model_name_or_path": str(base), "r": 4}
    (path / "adapter_config.json").write_text(json.dumps(settings))
    return path


class Engine(ScriptedEngine):
    """Keeps which adapter each call names, and lets none pass while it is held."""

    def __init__(self, base: Path):
        super().__init__(critique, label_probs=label_probs, tokenizer=bpe(), name=str(base))
        self.adapters: list[str | None] = []
        self.broken: set[str] = set()
        self.passing = asyncio.Event()
        self.passing.set()

    async def generate(self, *arguments: Any, adapter: str | None = None, **more: Any) -> Any:
        self.adapters.append(adapter)
        if adapter in self.broken:
            raise EngineError(f"adapter {adapter}: not weights")
        await self.passing.wait()
        return await super().generate(*arguments, adapter=adapter, **more)


async def hosted(critic: Path, base: Path, **score: Any) -> CriticHost:
    config = Config.model_validate(
        {"models": {"critic": str(critic)}, "score": {"votes": 2, **score}}
    )
    engine, loaded = Engine(base), load_critic(config)
    return CriticHost(engine, loaded, await loaded.scorer(engine))


def test_a_judgement_ends_with_the_version_that_it_began_with(tmp_path: Path) -> None:
    base = model(tmp_path / "base")
    first, second = (adapter(tmp_path / name, base) for name in ("v1", "v2"))

    async def replace() -> None:
        host = await hosted(first, base, max_concurrency=1)  # steps follow each other
        engine: Any = host.engine
        engine.passing.clear()
        before = asyncio.create_task(host.score(ITEM))
        while not engine.adapters:
            await asyncio.sleep(0)
        preparing = asyncio.create_task(host.prepare(str(second)))
        while str(second) not in engine.adapters:
            await asyncio.sleep(0.01)
        during = asyncio.create_task(host.score(ITEM))  # it is loaded, and not adopted yet
        engine.passing.set()
        await preparing
        engine.passing.clear()
        adopted = await host.adopt(str(second))
        after = asyncio.create_task(host.score(ITEM))
        await asyncio.sleep(0)
        engine.passing.set()
        old, between, new = await asyncio.gather(before, during, after)
        assert adopted == new.critic != old.critic == between.critic
        assert new.critic.version and old.critic.version
        # two calls per step and judgement, and the one by which a version is tried
        assert engine.adapters.count(str(first)) == 2 * 2 * len(ITEM.steps)
        assert engine.adapters.count(str(second)) == 2 * len(ITEM.steps) + 1
        assert (await host.adopt(str(first))) == old.critic  # and back

    asyncio.run(replace())


def test_adopting_what_serves_already_changes_nothing(tmp_path: Path) -> None:
    base = model(tmp_path / "base")
    only = adapter(tmp_path / "v1", base)

    async def adopt() -> None:
        host = await hosted(only, base)
        scorer = host.scorer
        assert await host.adopt(str(only)) == scorer.critic
        assert host.scorer is scorer

    asyncio.run(adopt())


def refuse_full(path: Path, base: Path) -> Path:
    return model(path, "other")


def refuse_base(path: Path, base: Path) -> Path:
    return adapter(path, model(path.parent / "other", "others"))


def refuse_pack(path: Path, base: Path) -> Path:
    made = a_manifest(base_sha256=weights_sha256(base), pack_fingerprint="0" * 16)
    write_manifest(adapter(path, base), made)
    return path


def refuse_tokenizer(path: Path, base: Path) -> Path:
    made = a_manifest(base_sha256=weights_sha256(base), tokenizer_sha256="0" * 64)
    write_manifest(adapter(path, base), made)
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (refuse_full, "not an adapter; full weights are changed by deploying the service again"),
        (refuse_base, "an adapter for .*other, not for .*base"),
        (refuse_pack, "a changed 'native'"),
        (refuse_tokenizer, "another tokenizer"),
        (lambda path, base: path, "no such model directory"),
    ],
)
def test_what_does_not_belong_here_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path, Path], Path], reason: str
) -> None:
    base = model(tmp_path / "base")
    first, other = adapter(tmp_path / "v1", base), make(tmp_path / "v2", base)

    async def refused() -> None:
        host = await hosted(first, base)
        before = host.scorer
        for ask in (host.prepare, host.adopt):
            with pytest.raises(ConfigError, match=reason) as caught:
                await ask(str(other))
            assert "\n" not in str(caught.value) and str(other) in str(caught.value)
        assert host.scorer is before
        assert (await host.score(ITEM)).first_error == 1

    asyncio.run(refused())


def test_an_adapter_that_the_engine_cannot_load_never_judges(tmp_path: Path) -> None:
    base = model(tmp_path / "base")
    first, second = (adapter(tmp_path / name, base) for name in ("v1", "v2"))

    async def refused() -> None:
        host = await hosted(first, base)
        engine: Any = host.engine
        engine.broken.add(str(second))
        with pytest.raises(EngineError, match="not weights"):
            await host.prepare(str(second))
        assert (await host.score(ITEM)).first_error == 1
        engine.broken.clear()
        await host.adopt(str(second))  # mended, and never loaded before

    asyncio.run(refused())


def test_a_directory_that_was_written_over_is_refused(tmp_path: Path) -> None:
    base = model(tmp_path / "base")
    first, second = (adapter(tmp_path / name, base) for name in ("v1", "v2"))

    async def refused() -> None:
        host = await hosted(first, base)
        await host.adopt(str(second))
        await host.adopt(str(first))
        (second / "adapter_model.safetensors").write_text("adapter v3")
        with pytest.raises(ConfigError, match="weights have changed"):
            await host.adopt(str(second))

    asyncio.run(refused())


def test_full_weights_are_never_replaced(tmp_path: Path) -> None:
    base = model(tmp_path / "base")

    async def refused() -> None:
        host = await hosted(base, base)
        engine: Any = host.engine
        capabilities = engine.capabilities
        engine.capabilities = type(capabilities)(label_probs=True, prefill=True)
        with pytest.raises(ConfigError, match="started without an adapter"):
            await host.prepare(str(adapter(tmp_path / "v1", base)))

    asyncio.run(refused())


def fitted(host: CriticHost, early: bool = False, least: float = 0.2) -> str:
    """A calibration of the critic that a host judges with."""
    return ScoreCalibration(
        method="platt",
        scores=[0.0, 1.0],
        probabilities=[least, least + 0.4],
        critic=host.scorer.critic,
        votes=2,
        early_stop=early,
        sampling=sampling_of(host.config.score, early),
        source="rows",
        steps=2,
        solutions=1,
        held_out={},
    ).model_dump_json()


async def calibrated(host: CriticHost) -> float | None:
    return (await host.score(ITEM)).steps[0].calibrated  # a score of 0.8


def test_a_version_brings_its_own_calibration(tmp_path: Path) -> None:
    base = model(tmp_path / "base")
    first, second = (adapter(tmp_path / name, base) for name in ("v1", "v2"))

    async def replace() -> None:
        host = await hosted(first, base)
        await host.adopt(str(second))
        (second / CALIBRATION_FILE).write_text(fitted(host))
        assert await calibrated(host) is None
        await host.adopt(str(first))
        await host.adopt(str(second))
        assert await calibrated(host) == pytest.approx(0.2 + 0.8 * 0.4)
        await host.adopt(str(first))
        assert await calibrated(host) is None

    asyncio.run(replace())


def test_each_way_of_voting_has_a_calibration_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = model(tmp_path / "base")
    critic = adapter(tmp_path / "v1", base)

    async def ask() -> None:
        host = await hosted(critic, base)
        both = [fitted(host), fitted(host, early=True, least=0.5)]
        (critic / CALIBRATION_FILE).write_text(f"[{','.join(both)}]")
        host = await hosted(critic, base, early_stopping=EARLY)
        assert await calibrated(host) == pytest.approx(0.5 + 0.8 * 0.4)
        fixed = await host.score(ScoreItem(ITEM.problem, ITEM.steps, early_stop=False))
        assert fixed.steps[0].calibrated == pytest.approx(0.2 + 0.8 * 0.4)
        assert not caplog.messages

        host = await hosted(critic, base, early_stopping={"enabled": True, "risk": 0.2})
        assert await calibrated(host) is None
        assert "left aside: fitted for stop_risk 0.0, not 0.2" in caplog.messages[-1]
        (critic / CALIBRATION_FILE).write_text(both[0])
        host = await hosted(critic, base, early_stopping=EARLY)
        assert await calibrated(host) is None
        assert "left aside: fitted for early_stop False, not True" in caplog.messages[-1]
        file = str(critic / CALIBRATION_FILE)  # named, it still serves requests that ask so
        host = await hosted(critic, base, early_stopping=EARLY, calibration=file)
        fixed = await host.score(ScoreItem(ITEM.problem, ITEM.steps, early_stop=False))
        assert fixed.steps[0].calibrated == pytest.approx(0.2 + 0.8 * 0.4)

    asyncio.run(ask())


def test_a_calibration_that_the_config_names_is_of_the_critic_that_it_names(tmp_path: Path) -> None:
    base, file = model(tmp_path / "base"), tmp_path / "calibration.json"
    first, second = (adapter(tmp_path / name, base) for name in ("v1", "v2"))

    async def replace() -> None:
        file.write_text(fitted(await hosted(first, base)))
        host = await hosted(first, base, calibration=str(file))
        assert await calibrated(host) == pytest.approx(0.52)
        await host.adopt(str(second))
        assert await calibrated(host) is None
        await host.adopt(str(first))
        assert await calibrated(host) == pytest.approx(0.52)

    asyncio.run(replace())


def test_the_pack_of_a_manifest_is_the_one_that_asks(tmp_path: Path) -> None:
    base = model(tmp_path / "base")
    first, second = (adapter(tmp_path / name, base) for name in ("v1", "v2"))
    copy = model(tmp_path / "copy")  # the same weights by another name
    made = a_manifest(base_sha256=weights_sha256(base), fingerprint="2" * 16)
    write_manifest(second, made)
    settings = {"base_model_name_or_path": str(copy), "r": 4}
    (second / "adapter_config.json").write_text(json.dumps(settings))

    async def replace() -> None:
        host = await hosted(first, base)
        critic = await host.adopt(str(second))
        assert critic.version == "2" * 16
        assert critic.fingerprint == load_pack("native").fingerprint

    asyncio.run(replace())
