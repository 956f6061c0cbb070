"""The embedded base: its text, its tokenizer, and a training that goes on after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from genprm.errors import ConfigError
from genprm.pretraining.text import Document, PackedRows, early_share
from genprm.pretraining.tokenizer import build_tokenizer
from genprm.prompts.packs import load_pack
from genprm.prompts.render import label_tokens
from genprm.tasks.base import mark_unpredictable
from places import ROOT

TINY = (
    "PretrainConfig(tokens=64 * 2 * 40, row_tokens=64, rows_per_batch=2, hidden=64, layers=1, "
    "intermediate=64, heads=2, kv_heads=1, save_steps=2, compile=False, tokenizer_documents=40)"
)
RUN = f"""
import sys
from genprm.pretraining.train import PretrainConfig, pretrain
pretrain(sys.argv[1], {TINY})
"""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(1024, 200, [load_pack("native"), load_pack("native-value")])


def test_digits_stand_alone_and_text_survives(tokenizer: Any) -> None:
    text = "(-304 - 5 * 128) =\n  Alice: red; “ünïcode” 🙂\tend"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    pieces = [tokenizer.decode([i]).strip() for i in ids]
    assert not any(len(p) > 1 and any(c.isdigit() for c in p) for p in pieces)


def test_shipped_packs_can_be_read_with_it(tokenizer: Any) -> None:
    for name in ("native", "native-value"):
        labels = label_tokens(load_pack(name), tokenizer)
        assert labels.correct_id != labels.incorrect_id


def test_rows_depend_on_their_index_alone_and_hide_prompts(tokenizer: Any) -> None:
    rows = PackedRows(tokenizer, load_pack("native"), rows=100, length=256, seed=3)
    row = rows[90]
    assert row == PackedRows(tokenizer, load_pack("native"), rows=100, length=256, seed=3)[90]
    assert row != rows[91]
    assert len(row["input_ids"]) == len(row["labels"]) == 256
    trained = [i for i, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100]
    assert trained == [label for label in row["labels"] if label != -100]


def test_the_base_reads_no_critique_and_no_verdict(tokenizer: Any) -> None:
    rows = PackedRows(tokenizer, load_pack("native"), rows=60, length=512, seed=0)
    pack = load_pack("native")
    for index in range(60):
        text = tokenizer.decode(rows[index]["input_ids"])
        assert "Verdict" not in text and pack.critique.system not in text
        assert "The step says" not in text


@pytest.mark.training
def test_training_goes_on_after_a_kill_and_is_recorded(tmp_path: Path) -> None:
    out = tmp_path / "base"
    command = [sys.executable, "-c", RUN, str(out)]
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not list(out.glob("checkpoints/checkpoint-*/trainer_state.json")):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    first.kill()
    first.wait()
    assert not (out / "pretraining.json").exists()
    unfinished = out / "checkpoints" / "checkpoint-1000"  # as a kill in the middle of it leaves one
    unfinished.mkdir()
    (unfinished / "model.safetensors").write_bytes(b"")
    subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    recipe = json.loads((out / "pretraining.json").read_text())
    assert recipe["resumed_from"].startswith("checkpoint-")
    assert recipe["tokens"] == 64 * 2 * 40
    assert recipe["wall_seconds"] > 0
    assert (out / "model.safetensors").exists() and (out / "tokenizer.json").exists()
    from transformers import AutoTokenizer

    from genprm.pretraining.train import PretrainConfig, pretrain

    # transformers has tokenizers of its own for some architectures, whatever the folder holds
    pieces = AutoTokenizer.from_pretrained(out).tokenize("(5 * 12)")
    assert pieces == ["(", "5", "Ġ*", "Ġ1", "2", ")"]
    with pytest.raises(ConfigError, match="finished base"):
        pretrain(out, PretrainConfig())
    with pytest.raises(ConfigError, match="no pretraining run's"):
        pretrain(tmp_path, PretrainConfig())


@pytest.mark.training
def test_training_goes_on_from_a_base(tmp_path: Path) -> None:
    from genprm.pretraining.train import PretrainConfig, pretrain

    shape = {"hidden": 64, "layers": 1, "intermediate": 64, "heads": 2, "kv_heads": 1}
    small = {**shape, "row_tokens": 64, "rows_per_batch": 2, "compile": False}
    first = pretrain(
        tmp_path / "first", PretrainConfig(tokens=64 * 2 * 3, tokenizer_documents=40, **small)
    )
    second = pretrain(
        tmp_path / "second", PretrainConfig.going_on(str(first), tokens=64 * 2 * 2, **small)
    )
    recipe = json.loads((second / "pretraining.json").read_text())
    assert recipe["went_on_from"]["tokens"] == 64 * 2 * 3
    assert (second / "tokenizer.json").read_text() == (first / "tokenizer.json").read_text()
    weights = [(folder / "model.safetensors").read_bytes() for folder in (first, second)]
    assert len(weights[0]) == len(weights[1]) and weights[0] != weights[1]


def test_unpredictable_parts_are_read_and_not_learned(tokenizer: Any) -> None:
    document = Document(
        (), mark_unpredictable("12 + 30 =") + " 42, " + mark_unpredictable("5 - 9 =") + " -4."
    )
    ids, labels = document.encode(tokenizer)
    assert tokenizer.decode(ids) == "12 + 30 = 42, 5 - 9 = -4."
    learned = [label for label in labels if label != -100]
    assert tokenizer.decode(learned) == " 42, -4."


def test_comparisons_come_first_and_fade() -> None:
    assert [early_share(at, 0.5) for at in (0.0, 0.5, 0.575, 0.65, 1.0)] == pytest.approx(
        [1.0, 1.0, 0.5, 0.0, 0.0]
    )
    assert early_share(0.0, 0.0) == 0.0
