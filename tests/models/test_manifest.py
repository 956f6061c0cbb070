"""Manifests of critic directories: what they say, and what they refuse."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bpe import bpe
from genprm.errors import ConfigError
from genprm.models.manifest import (
    MANIFEST_FILE,
    check_manifest,
    load_manifest,
    tokenizer_sha256,
    weights_sha256,
    write_manifest,
)
from genprm.prompts.packs import load_pack
from genprm.util.paths import assets_dir
from manifests import a_manifest


def test_a_written_manifest_reads_back(tmp_path: Path) -> None:
    manifest = a_manifest()
    write_manifest(tmp_path, manifest)
    assert load_manifest(tmp_path) == manifest
    assert check_manifest(tmp_path, load_pack("native")) == manifest
    assert json.loads((tmp_path / MANIFEST_FILE).read_text())["schema_version"] == 1


def test_a_model_that_is_not_ours_has_none(tmp_path: Path) -> None:
    assert load_manifest(tmp_path) is None
    assert check_manifest(tmp_path, load_pack("native")) is None
    assert check_manifest("Qwen/Qwen2.5-1.5B", load_pack("native")) is None


def test_another_pack_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, a_manifest())
    with pytest.raises(ConfigError, match=r"trained for prompt pack 'native' .*'native-value'"):
        check_manifest(tmp_path, load_pack("native-value"))


def test_a_changed_pack_of_the_same_name_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, a_manifest(pack_fingerprint="0" * 16))
    with pytest.raises(ConfigError, match="a changed 'native'"):
        check_manifest(tmp_path, load_pack("native"))


def test_a_manifest_from_before_there_were_kinds_is_a_critics(tmp_path: Path) -> None:
    row = a_manifest().model_dump(mode="json")
    del row["kind"]
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(row))
    manifest = check_manifest(tmp_path, load_pack("native"))
    assert manifest == a_manifest() and manifest.kind == "critic"
    assert load_manifest(assets_dir() / "critic") is not None


def test_a_kind_without_a_pack_is_not_asked_with_one(tmp_path: Path) -> None:
    packless = a_manifest(kind="head", pack=None, pack_fingerprint=None)
    write_manifest(tmp_path, packless)
    assert check_manifest(tmp_path, None) == packless
    with pytest.raises(ConfigError, match="of kind 'head', which answers no prompt pack"):
        check_manifest(tmp_path, load_pack("native"))
    write_manifest(tmp_path, a_manifest())
    with pytest.raises(ConfigError, match=r"pack 'native' \(.*\), not for use without a pack"):
        check_manifest(tmp_path, None)


def test_an_adapter_on_another_base_is_refused(tmp_path: Path) -> None:
    critic, base, other = (tmp_path / name for name in ("critic", "base", "other"))
    for folder, weights in ((critic, b"adapter"), (base, b"weights"), (other, b"changed")):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(weights)
    write_manifest(critic, a_manifest())
    assert check_manifest(critic, load_pack("native"), base=base) is not None
    with pytest.raises(ConfigError, match=r"an adapter for embedded:base .*, not for .*other"):
        check_manifest(critic, load_pack("native"), base=other)
    write_manifest(critic, a_manifest(method="full"))  # a full model stands on no base
    assert check_manifest(critic, load_pack("native"), base=other) is not None


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, a_manifest())
    pack = load_pack("native")
    assert check_manifest(tmp_path, pack, tokenizer=bpe()) is not None
    with pytest.raises(ConfigError, match="another tokenizer or chat template"):
        check_manifest(tmp_path, pack, tokenizer=bpe(odd=True))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a critic's manifest"),
        ("[]", "not a critic's manifest"),
        ("{}", "not a critic's manifest"),
        ('{"schema_version": 2}', "schema version 2, this genprm reads up to 1"),
        ('{"schema_version": 1, "method": "full"}', "field 'fingerprint'"),
    ],
)
def test_a_broken_manifest_is_a_config_error(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / MANIFEST_FILE).write_text(text)
    with pytest.raises(ConfigError, match=reason) as caught:
        load_manifest(tmp_path)
    assert "\n" not in str(caught.value)
    assert MANIFEST_FILE in str(caught.value)


def test_weights_hash_of_one_file_is_its_sha256sum(tmp_path: Path) -> None:
    assert weights_sha256(tmp_path) is None
    (tmp_path / "model-00001.safetensors").write_bytes(b"a")
    one = weights_sha256(tmp_path)
    assert one == hashlib.sha256(b"a").hexdigest()
    (tmp_path / "model-00002.safetensors").write_bytes(b"b")
    two = weights_sha256(tmp_path)
    assert two not in (one, None)
    (tmp_path / "model-00002.safetensors").write_bytes(b"c")
    assert weights_sha256(tmp_path) != two


@pytest.mark.slow
def test_the_tokenizer_hash_survives_saving_and_sees_the_chat_template(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    bpe().save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer_sha256(loaded) == tokenizer_sha256(bpe())
    loaded.chat_template = loaded.chat_template + " "
    assert tokenizer_sha256(loaded) != tokenizer_sha256(bpe())
