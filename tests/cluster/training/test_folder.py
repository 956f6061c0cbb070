"""Whose a critic folder is, without Ray."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.training.folder import SUMMARY_FILE, CriticFolder
from genprm.errors import ConfigError
from genprm.models.manifest import MANIFEST_FILE
from manifests import a_manifest

DECIDES = {"train.epochs": 3.0, "train.lora.r": 16, "pack": "native 20a2", "data": "1234"}
IN_SUMMARY = ("tokens", "seconds", "metrics", "base_sha256")  # as a worker writes it


def published(out: Path) -> None:
    """A finished critic of DECIDES."""
    fields = a_manifest().model_dump(exclude={"fingerprint", "decides", "schema_version"})
    source = out.parent / "from_worker"
    source.mkdir()
    summary = {name: fields.pop(name) for name in IN_SUMMARY}
    (source / SUMMARY_FILE).write_text(json.dumps(summary))
    CriticFolder(str(out), DECIDES).publish(source, **fields)


def refusal(out: Path, **changes: object) -> str:
    with pytest.raises(ConfigError) as caught:
        CriticFolder(str(out), DECIDES | changes).finished()
    assert "\n" not in str(caught.value) and "nothing was overwritten" in str(caught.value)
    return str(caught.value)


OTHER_RANK = {"train.lora.r": 8}
OTHER_DATA = {"data": "5678"}


def test_an_unfinished_critic_of_another_run_names_the_first_key_that_differs(
    tmp_path: Path,
) -> None:
    out = tmp_path / "critic"
    folder = CriticFolder(str(out), DECIDES)
    assert folder.finished() is None
    with folder.claimed():
        pass
    assert folder.finished() is None
    assert "parts belongs to another config (train.lora.r is 16 there and 8 here)" in refusal(
        out, **OTHER_RANK
    )
    assert 'another input (data is "1234" there and "5678" here)' in refusal(out, **OTHER_DATA)
    (folder.parts / "run.json").write_text('{"fingerprint": "f"}')
    assert "an earlier version of genprm wrote it" in refusal(out)


def test_a_finished_critic_of_another_run_names_the_first_key_that_differs(tmp_path: Path) -> None:
    out = tmp_path / "critic"
    published(out)
    manifest = CriticFolder(str(out), DECIDES).finished()
    assert manifest is not None and manifest.decides == DECIDES
    assert "critic belongs to another config (train.lora.r is 16 there and 8 here)" in refusal(
        out, **OTHER_RANK
    )
    old = json.loads((out / MANIFEST_FILE).read_text())
    del old["decides"]
    (out / MANIFEST_FILE).write_text(json.dumps(old))
    assert "an earlier version of genprm wrote it" in refusal(out)
