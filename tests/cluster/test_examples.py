"""The example programs, as they stand: a critic is trained and served, and asked both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import runtime, service
from cluster.examples import http_client, pipeline, train_and_deploy
from genprm.client.http import Client
from genprm.config.root import Config
from genprm.data.rows import write_jsonl
from genprm.models.manifest import load_manifest
from tiny_model import make_tiny_model
from training_rows import toy_targets


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A service of a critic that `train_and_deploy` trained."""
    folder = tmp_path_factory.mktemp("example")
    model, targets = make_tiny_model(folder / "model"), folder / "targets.jsonl"
    write_jsonl(targets, (target.row() for target in toy_targets(8)))
    config = Config.model_validate(
        {
            "models": {"policy": str(model)},
            "engine": {"max_num_seqs": 32, "cpu": {"kv_cache_gib": 0.25}},
            "train": {"method": "lora", "epochs": 1, "batch_size": 4, "micro_batch_size": 4},
            "score": {"votes": 2, "max_critique_tokens": 12},
            "serve": {"port": 0},
        }
    )
    mine = runtime.start(config.runtime)
    try:
        url = train_and_deploy.main(config, str(targets), str(folder / "critic"))
        yield url, folder / "critic"
    finally:
        service.stop()
        if mine:
            runtime.stop()


def test_what_was_trained_is_served(served: tuple[str, Path]) -> None:
    url, critic = served
    manifest = load_manifest(critic)
    with Client(url) as client:
        assert manifest and client.model()["critic"]["version"] == manifest.fingerprint


def test_http_client(served: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    http_client.main(served[0])
    told = capsys.readouterr().out
    assert "first error: " in told and "scores: [" in told
    assert all(f"step {place}: " in told for place in range(3))


def test_pipeline(served: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.main("auto")
    told = capsys.readouterr().out
    assert told.count("best: candidate ") == 2 and "step rewards: [" in told
