"""Critic fine-tuning without Ray: rows, masks, order of rows, losses, what is saved."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bpe import bpe
from genprm.config.train import LoraConfig, TrainConfig
from genprm.errors import ConfigError, InputError
from genprm.prompts.packs import load_pack
from genprm.prompts.render import critique_prompt, label_tokens, solution_target_messages
from genprm.training import KINDS, find_kind, kind_names
from genprm.training.base import plan
from genprm.training.sft import (
    IGNORED,
    build_trainer,
    check_targets,
    prepare_dataset,
    save_critic,
)
from training_rows import toy_targets

GOLDEN_LABELS = [301, 269, 413, 223, 18, 297, 223, 18, 14, 292, 293, 276, 324, 284, 279, 28, 317, 2]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine are many times slower than one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny(tiny_model: Path) -> Path:
    return tiny_model


def config(**fields: Any) -> TrainConfig:
    quick = {"batch_size": 8, "micro_batch_size": 8, "learning_rate": 1e-2, "epochs": 4}
    return TrainConfig(**(quick | fields))


def test_the_mask_covers_the_prompt_and_nothing_else() -> None:
    tokenizer = bpe()
    row = toy_targets(1)[0]
    dataset = prepare_dataset([row], tokenizer, 1024).dataset
    ids, labels = dataset[0]["input_ids"], dataset[0]["labels"]
    trained = [token for token, label in zip(ids, labels, strict=True) if label != IGNORED]
    masked = ids[: len(ids) - len(trained)]
    assert labels == [IGNORED] * len(masked) + trained
    assert dataset[0]["length"] == len(ids)
    assert tokenizer.decode(trained) == (
        "The step adds 0 and 0, so it is right.\nVerdict: correct<|im_end|>"
    )
    assert tokenizer.decode(masked) == (
        "<|im_start|>system\nCheck the last step. Write a short critique, then the verdict."
        "<|im_end|>\n<|im_start|>user\nProblem:\nWhat is 0 + 0?\nSteps:\nLast step:\n0 + 0 = 0\n"
        "Is the last step correct?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_masked_part_is_the_prompt_that_scoring_sends() -> None:
    tokenizer, pack = bpe(), load_pack("native")
    row = toy_targets(13)[12]
    dataset = prepare_dataset([row], tokenizer, 1024).dataset
    prompt = critique_prompt(pack, tokenizer, "What is 2 + 1?", ["2 + 1 = 3"])
    assert tuple(dataset[0]["input_ids"][: len(prompt.token_ids)]) == prompt.token_ids
    assert dataset[0]["labels"].count(IGNORED) == len(prompt.token_ids)


def test_golden_token_ids_of_a_row() -> None:
    tokenizer = bpe()
    dataset = prepare_dataset(toy_targets(1), tokenizer, 1024).dataset
    labels = dataset[0]["labels"]
    assert labels[:70] == [IGNORED] * 69 + [301]
    # the line end before the verdict is one token with the full stop: rendered as one text
    golden = ["The", " step", " adds", " ", "0", " and", " ", "0", ",", " so", " it", " is"]
    golden += [" right", ".\n", "Verdict", ":", " correct", "<|im_end|>"]
    assert [tokenizer.decode([label]) for label in labels[69:]] == golden
    assert labels[69:] == GOLDEN_LABELS


def test_a_template_without_the_end_token_gets_it() -> None:
    tokenizer = copy.deepcopy(bpe())
    tokenizer.eos_token = "<|endoftext|>"  # as base models of the Qwen family have it
    dataset = prepare_dataset(toy_targets(1), tokenizer, 1024).dataset
    assert tokenizer.decode(dataset[0]["labels"][-3:]) == "<|im_end|>\n<|endoftext|>"


def test_long_rows_are_dropped_and_counted_and_never_cut() -> None:
    tokenizer = bpe()
    rows = toy_targets(6)
    rows[2] = rows[2].model_copy(
        update={"prompt": [{"role": "user", "content": "long " * 300}], "id": "long"}
    )
    everything = prepare_dataset(rows, tokenizer, 2048)
    assert (len(everything.dataset), everything.dropped) == (6, 0)
    kept = prepare_dataset(rows, tokenizer, 200)
    assert (len(kept.dataset), kept.dropped) == (5, 1)
    assert max(kept.dataset["length"]) <= 200
    exact = max(kept.dataset["length"])
    assert prepare_dataset(rows, tokenizer, exact).dropped == 1
    with pytest.raises(InputError, match=r"all 6 rows are longer than train\.max_length=5"):
        prepare_dataset(rows, tokenizer, 5)


def test_a_template_that_rewrites_the_prompt_is_refused() -> None:
    tokenizer = copy.deepcopy(bpe())
    tokenizer.chat_template = "{{ messages|length }}" + tokenizer.chat_template
    with pytest.raises(ConfigError, match="changes the prompt when an answer follows"):
        prepare_dataset(toy_targets(1), tokenizer, 1024)
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        prepare_dataset(toy_targets(1), tokenizer, 1024)


def test_a_completion_that_merges_with_the_prompt_is_refused() -> None:
    tokenizer = copy.deepcopy(bpe())
    tokenizer.add_tokens(["\n\n"])
    row = toy_targets(1)[0]
    blank = "\n" + row.completion[0]["content"]
    broken = row.model_copy(update={"completion": [{"role": "assistant", "content": blank}]})
    with pytest.raises(InputError, match=r"row 'sum-0:0:0': .* merges with the prompt"):
        prepare_dataset([broken], tokenizer, 1024)


def test_rows_of_another_pack_are_refused() -> None:
    check_targets(toy_targets(4), load_pack("native"))
    with pytest.raises(InputError, match=r"row 'sum-0:0:0': .*'\\nVerdict: yes'"):
        check_targets(toy_targets(4), load_pack("native-value"))
    with pytest.raises(InputError, match="does not end in"):
        check_targets(toy_targets(1, label=False), load_pack("native"))


def test_weights_are_kept_where_they_differ_and_average_one() -> None:
    assert "weights" not in prepare_dataset(toy_targets(3), bpe(), 1024).dataset.column_names
    rows = [*toy_targets(2, weight=0.25), *toy_targets(2, weight=0.75)]
    dataset = prepare_dataset(rows, bpe(), 1024).dataset
    assert [set(weights) for weights in dataset["weights"]] == [{0.5}, {0.5}, {1.5}, {1.5}]


def test_verdicts_can_weigh_more_than_critiques() -> None:
    tokenizer, pack = bpe(), load_pack("native")
    verdicts = label_tokens(pack, tokenizer)
    rows = toy_targets(4)
    dataset = prepare_dataset(
        rows, tokenizer, 1024, label_tokens=verdicts, verdict_weight=8
    ).dataset
    for row, target in zip(dataset, rows, strict=True):
        (at,) = [i for i, weight in enumerate(row["weights"]) if weight != 1]
        deciding = verdicts.correct_id if target.label else verdicts.incorrect_id
        assert row["weights"][at] == 8 and row["input_ids"][at] == deciding
        assert row["labels"][at] == deciding
    from genprm.training.trainer import WeightedCollator

    batch = WeightedCollator(pad_token_id=0)(list(dataset))
    heavy = batch["weights"] == 8
    assert set(batch["labels"][heavy].tolist()) <= {
        verdicts.correct_id,
        verdicts.incorrect_id,
    }
    assert heavy.sum(dim=1).tolist() == [1, 1, 1, 1]


def test_every_verdict_of_a_whole_critique_weighs_more() -> None:
    tokenizer, pack = bpe(), load_pack("native-solution")
    judged = [("2 + 3 = 5, right.", True), ("It says: correct.", True), ("5 + 4 = 9.", False)]
    messages = solution_target_messages(pack, "2 + 3 + 4 =", ["a", "b", "c"], judged)
    row = toy_targets(1, label=False)[0].model_copy(
        update=dict(zip(("prompt", "completion"), messages, strict=True))
    )
    check_targets([row], pack)
    verdicts = label_tokens(pack, tokenizer)
    [made] = prepare_dataset(
        [row], tokenizer, 1024, label_tokens=verdicts, verdict_weight=8
    ).dataset
    heavy = [token for token, w in zip(made["input_ids"], made["weights"], strict=True) if w == 8]
    assert heavy == [verdicts.correct_id, verdicts.correct_id, verdicts.incorrect_id]


@pytest.mark.parametrize(
    ("fields", "micro", "accumulation", "steps"),
    [
        ({"batch_size": 8, "micro_batch_size": 8}, 8, 1, 13),
        ({"batch_size": 8, "micro_batch_size": 32}, 8, 1, 13),
        ({"batch_size": 8, "micro_batch_size": 2}, 2, 4, 13),
        ({"batch_size": 8, "micro_batch_size": 2, "num_workers": 2}, 2, 2, 13),
        ({"batch_size": 8, "num_workers": 2, "epochs": 2}, 4, 1, 26),
    ],
)
def test_batches_and_steps(
    fields: dict[str, Any], micro: int, accumulation: int, steps: int
) -> None:
    one_epoch = TrainConfig(**({"epochs": 1} | fields))
    assert plan(100, one_epoch) == (micro, accumulation, steps)


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 10, "micro_batch_size": 4},
        {"batch_size": 9, "num_workers": 2},
        {"batch_size": 1, "num_workers": 2},
    ],
)
def test_batches_that_do_not_divide_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"train\.batch_size=\d+ is no multiple of"):
        plan(100, TrainConfig(**fields))


def test_batches_hold_rows_of_similar_length_in_shuffled_order() -> None:
    from genprm.training.trainer import LengthGroupedRows

    lengths = [60 + (37 * row) % 200 for row in range(3205)]
    epoch = 0
    sampler = LengthGroupedRows(lengths, 32, 7, lambda: epoch)
    rows = list(sampler)
    assert sorted(rows) == list(range(3205))
    assert list(sampler) == rows  # the same epoch is the same order, which resuming needs
    epoch = 1
    assert list(sampler) != rows

    def padded(order: list[int]) -> int:
        batches = [order[at : at + 32] for at in range(0, len(order), 32)]
        return sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)

    assert padded(rows) < 1.05 * sum(lengths)
    assert padded(list(range(3205))) > 1.3 * sum(lengths)
    means = [sum(lengths[row] for row in rows[at : at + 32]) for at in range(0, 3200, 32)]
    rising = sum(a < b for a, b in itertools.pairwise(means))
    assert 30 < rising < 70  # sorted batches would give 0 or 99


def test_a_trained_critic_ends_its_critique_and_is_saved_in_bfloat16(
    tiny: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    dataset = prepare_dataset(toy_targets(1) * 64, tokenizer, 1024).dataset
    longer = config(epochs=8)
    trainer = build_trainer(str(tiny), dataset, longer, tmp_path / "run", tokenizer=tokenizer)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[0] > 5 and losses[-1] < 0.1
    assert trainer.state.num_input_tokens_seen == 8 * sum(dataset["length"])

    critic = tmp_path / "critic"
    save_critic(trainer, critic, str(tiny))
    weights = load_file(critic / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    saved = AutoTokenizer.from_pretrained(critic)
    assert saved.chat_template == tokenizer.chat_template
    prompt = critique_prompt(load_pack("native"), saved, "What is 0 + 0?", ["0 + 0 = 0"])
    model = AutoModelForCausalLM.from_pretrained(critic)
    generated = model.generate(
        torch.tensor([prompt.token_ids]), max_new_tokens=60, do_sample=False
    )[0, len(prompt.token_ids) :]
    critique = "The step adds 0 and 0, so it is right.\nVerdict: correct<|im_end|>"
    assert saved.decode(generated) == critique


def test_no_training_is_reported_to_anyone(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer
    from trl.trainer import base_trainer

    def tell(**_: Any) -> None:
        raise AssertionError("trl reports this training")

    monkeypatch.delenv("CI", raising=False)  # where trl is silent by itself
    monkeypatch.setattr(base_trainer, "send_telemetry", tell)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    dataset = prepare_dataset(toy_targets(8), tokenizer, 1024).dataset
    build_trainer(str(tiny), dataset, config(), tmp_path / "run", tokenizer=tokenizer)


def test_the_same_seed_gives_the_same_weights(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    dataset = prepare_dataset(toy_targets(24), tokenizer, 1024).dataset

    def final_loss(seed: int, micro: int) -> float:
        short = config(epochs=2, seed=seed, micro_batch_size=micro)
        trainer = build_trainer(str(tiny), dataset, short, tmp_path / "run", tokenizer=tokenizer)
        trainer.train()
        return float(trainer.state.log_history[-2]["loss"])

    first = final_loss(0, 8)
    assert final_loss(0, 8) == first
    assert final_loss(0, 4) == pytest.approx(first, rel=1e-3)  # how memory is used changes nothing
    assert final_loss(1, 8) != first


def test_a_weighted_loss_is_the_plain_one_for_equal_weights(tiny: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    rows = [*toy_targets(7), toy_targets(8, weight=3.0)[7]]
    weighted = prepare_dataset(rows, tokenizer, 1024).dataset
    trainer = build_trainer(
        str(tiny), weighted, config(learning_rate=1e-3), tmp_path / "run", tokenizer=tokenizer
    )
    batch = trainer.data_collator([weighted[row] for row in range(8)])
    assert batch["weights"].shape == batch["labels"].shape
    assert batch["weights"][:, 0].tolist() == pytest.approx([0.8] * 7 + [2.4])
    trained = (batch["labels"] != IGNORED).sum()
    plain = {name: value for name, value in batch.items() if name != "weights"}

    def loss(**more: Any) -> float:
        with torch.no_grad():
            inputs = {**plain, **more}
            return trainer.compute_loss(trainer.model, inputs, num_items_in_batch=trained).item()

    def row_loss(row: int) -> float:
        one_hot = torch.zeros_like(batch["weights"])
        one_hot[row] = 1
        return loss(weights=one_hot)

    assert loss(weights=torch.ones_like(batch["weights"])) == pytest.approx(loss(), rel=1e-5)
    parts = [row_loss(row) for row in range(8)]
    assert math.fsum(parts) == pytest.approx(loss(), rel=1e-5)
    expected = 0.8 * math.fsum(parts[:7]) + 2.4 * parts[7]
    assert loss(weights=batch["weights"]) == pytest.approx(expected, rel=1e-5)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] - 0.2


def test_a_lora_adapter_loads_with_peft(tiny: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    dataset = prepare_dataset(toy_targets(32), tokenizer, 1024).dataset
    lora = config(method="lora", lora=LoraConfig(r=8, alpha=16), epochs=6)
    trainer = build_trainer(str(tiny), dataset, lora, tmp_path / "run", tokenizer=tokenizer)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] - 0.2
    adapter = tmp_path / "adapter"
    save_critic(trainer, adapter, "embedded:base")
    settings = json.loads((adapter / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["r"]) == ("embedded:base", 8)
    assert not settings["modules_to_save"]
    weights = load_file(adapter / "adapter_model.safetensors")
    assert all("lora_" in name for name in weights)
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}

    batch = torch.tensor([dataset[0]["input_ids"]])
    base = AutoModelForCausalLM.from_pretrained(tiny)
    before = base(batch, labels=torch.tensor([dataset[0]["labels"]])).loss
    tuned = PeftModel.from_pretrained(base, str(adapter))
    after = tuned(batch, labels=torch.tensor([dataset[0]["labels"]])).loss
    assert after < before - 0.5


def test_progress_is_reported_from_the_first_step(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from genprm.training.callback import ProgressCallback
    from genprm.training.progress import Progress

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    dataset = prepare_dataset(toy_targets(16), tokenizer, 1024).dataset
    events: list[Progress] = []
    trainer = build_trainer(
        str(tiny),
        dataset,
        config(epochs=2),
        tmp_path / "run",
        tokenizer=tokenizer,
        callbacks=[ProgressCallback(events.append)],
    )
    trainer.train()
    assert [(now.step, now.steps) for now in events] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert events[-1].tokens == 2 * sum(dataset["length"])
    assert events[-1].seconds_left == 0 and events[0].seconds_left > 0
    assert all(now.loss > 0 and now.tokens_per_second > 0 for now in events)


def test_warmup_and_cosine(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    dataset = prepare_dataset(toy_targets(80), tokenizer, 1024).dataset
    slow = config(epochs=1, warmup_ratio=0.2, learning_rate=1e-3)
    trainer = build_trainer(str(tiny), dataset, slow, tmp_path / "run", tokenizer=tokenizer)
    trainer.create_optimizer_and_scheduler(10)
    rates = []
    for _ in range(10):
        rates.append(trainer.lr_scheduler.get_last_lr()[0])
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    assert rates[:3] == pytest.approx([0, 5e-4, 1e-3])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 1e-4


def test_a_kind_is_named_in_one_place_and_an_unknown_one_lists_them() -> None:
    assert kind_names() == ", ".join(KINDS)
    with pytest.raises(ConfigError) as error:
        find_kind("poet")
    assert str(error.value) == f"train.kind: no such kind 'poet'; there are: {kind_names()}"


def test_a_kind_goes_to_workers_by_the_names_of_its_functions() -> None:
    critic = find_kind("critic")
    blob = pickle.dumps(critic)
    assert pickle.loads(blob) == critic and len(blob) < 1000
