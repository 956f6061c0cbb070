"""Train the embedded base with transformers' Trainer: resumable, and recorded beside the weights.

    genprm pretrain --out DIR [--tokens 385105920] [--init BASE]

A run that is killed goes on from its last checkpoint with the same command. The learning rate is
constant until the last two fifths and then falls, so a run can be extended from a checkpoint by
naming more tokens. Text is written as it is read: on a GPU, by all the other cores.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genprm.errors import ConfigError
from genprm.models.tokenizers import load_tokenizer
from genprm.prompts.packs import load_pack
from genprm.util.hardware import has_gpu, is_bf16_faster, usable_cores

RECIPE_FILE = "pretraining.json"
STARTS_FILE = "checkpoints/starts.jsonl"
CLAIM_FILE = "checkpoints/recipe.json"
VOCABULARY_PACKS = ("native", "native-value")  # whose words become tokens


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """The recipe, by default that of the embedded base: 8 minutes of a GPU, and of two CPU cores
    most of a day. What is not here is in the code of this package."""

    tokens: int = 385_105_920
    seed: int = 0
    row_tokens: int = 512
    rows_per_batch: int = 48
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    decay_share: float = 0.4
    save_steps: int = 200
    vocab_size: int = 1024
    tokenizer_documents: int = 4000  # of each kind and task
    hidden: int = 128
    intermediate: int = 384
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    max_positions: int = 2048
    comparisons_first: float = 0.06  # the part of training that begins with hardly anything else
    compile: bool = True
    init: str | None = None  # a base to go on from; the shape and vocabulary are then its own

    @property
    def steps(self) -> int:
        return self.tokens // (self.row_tokens * self.rows_per_batch)

    @classmethod
    def going_on(cls, init: str, **settings: Any) -> PretrainConfig:
        """From a trained base, which compares: a lower rate, falling over half of the run."""
        settings = {
            "learning_rate": 3e-3,
            "decay_share": 0.5,
            "comparisons_first": 0.0,
            **settings,
        }
        return cls(init=init, **settings)


def build_model(config: PretrainConfig, tokenizer: Any) -> Any:
    """Llama, since transformers gives a directory of Qwen2 its own tokenizer, whatever is in it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if config.init is not None:
        return LlamaForCausalLM.from_pretrained(config.init, dtype=torch.float32)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden,
            intermediate_size=config.intermediate,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.max_positions,
            tie_word_embeddings=True,
            attention_bias=True,
            initializer_range=0.02,
            bos_token_id=None,
            eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
            pad_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        )
    )


def _tokenizer(out: Path, config: PretrainConfig) -> Any:
    """The run's tokenizer; built once, then read back, so that a resumed run has the same."""
    from genprm.pretraining.tokenizer import build_tokenizer

    if (out / "tokenizer.json").exists():
        return load_tokenizer(str(out))
    if config.init is not None:
        tokenizer = load_tokenizer(config.init)
        tokenizer.save_pretrained(out)
        return tokenizer
    packs = [load_pack(name) for name in VOCABULARY_PACKS]
    tokenizer = build_tokenizer(config.vocab_size, config.tokenizer_documents, packs)
    tokenizer.save_pretrained(out)
    return tokenizer


def _claim(out: Path, config: PretrainConfig) -> None:
    """Make the folder this recipe's, or find that it is. The tokens may differ: see the module."""
    recipe = {name: value for name, value in asdict(config).items() if name != "tokens"}
    mark = out / CLAIM_FILE
    if not mark.exists():
        if out.exists() and (out.is_file() or any(out.iterdir())):
            raise ConfigError(f"{out}: exists and is no pretraining run's; name another folder")
        mark.parent.mkdir(parents=True)
        mark.write_text(json.dumps(recipe, indent=2) + "\n")
    elif json.loads(mark.read_text()) != recipe:
        raise ConfigError(f"{out}: holds a run of another recipe or seed; name another folder")


def _drop_broken(checkpoints: Path) -> None:
    """Remove a checkpoint that a kill left unfinished; its state is the file written last."""
    for folder in checkpoints.glob("checkpoint-*"):
        try:
            json.loads((folder / "trainer_state.json").read_text())
        except (FileNotFoundError, ValueError):
            shutil.rmtree(folder)


def _note_start(out: Path, checkpoint: str | None) -> None:
    """Remember when this run began, and when the work that it goes on from had ended."""
    ended = os.path.getmtime(checkpoint) if checkpoint else None
    with (out / STARTS_FILE).open("a") as file:
        file.write(json.dumps({"started": time.time(), "last_ended": ended}) + "\n")


def _useful_seconds(out: Path) -> float:
    """Wall time of all runs, without what a kill threw away."""
    starts = [json.loads(line) for line in (out / STARTS_FILE).read_text().splitlines()]
    ends = [later["last_ended"] or start["started"] for start, later in itertools.pairwise(starts)]
    pairs = zip(starts, [*ends, time.time()], strict=True)
    return float(sum(max(0.0, end - start["started"]) for start, end in pairs))


def pretrain(out: str | Path, config: PretrainConfig, pack_name: str = "native") -> Path:
    """Train (or go on training) and write the final weights in bf16 to `out`.

    Solutions are written in the layout in which the pack asks the policy for them.

    Raises:
        ConfigError: `out` holds a finished base, another model, or a run of another recipe.
    """
    import torch
    from transformers import Trainer, TrainingArguments, default_data_collator, set_seed
    from transformers.trainer_utils import get_last_checkpoint

    from genprm.pretraining.optimizer import MuonWithAdamW
    from genprm.pretraining.text import MIX, SLIP_RATES, PackedRows

    pack = load_pack(pack_name)
    out = Path(out)
    if (out / RECIPE_FILE).exists():
        raise ConfigError(f"{out}: holds a finished base; name another folder")
    _claim(out, config)
    set_seed(config.seed)
    tokenizer = _tokenizer(out, config)
    model = build_model(config, tokenizer)
    on_gpu = has_gpu()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # rows are written one at a time
    arguments = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        max_steps=config.steps,
        per_device_train_batch_size=config.rows_per_batch,
        learning_rate=config.learning_rate,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={"num_decay_steps": int(config.steps * config.decay_share)},
        warmup_steps=min(100, config.steps // 10),
        max_grad_norm=1.0,
        bf16=is_bf16_faster(),
        use_cpu=not on_gpu,
        torch_compile=config.compile,
        logging_steps=10,
        save_steps=config.save_steps,
        save_total_limit=2,
        report_to=[],
        remove_unused_columns=False,
        train_sampling_strategy="sequential",  # rows are random already, and progress is ordered
        # a GPU reads faster than one core writes text
        dataloader_num_workers=max(1, usable_cores() - 1) if on_gpu else 0,
        seed=config.seed,
    )
    optimizer = MuonWithAdamW(model, config.learning_rate, config.weight_decay)
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=PackedRows(
            tokenizer,
            pack,
            config.steps * config.rows_per_batch,
            config.row_tokens,
            config.seed,
            config.comparisons_first,
        ),
        data_collator=default_data_collator,
        optimizers=(optimizer, None),
    )
    _drop_broken(out / "checkpoints")
    checkpoint = get_last_checkpoint(arguments.output_dir)
    _note_start(out, checkpoint)
    trainer.train(resume_from_checkpoint=checkpoint)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    model = model.to(torch.bfloat16)
    model.save_pretrained(out, safe_serialization=True)
    recipe = {
        "recipe": asdict(config) | {"init": config.init and Path(config.init).name},
        "steps": config.steps,
        "tokens": config.steps * config.row_tokens * config.rows_per_batch,
        "parameters": sum(p.numel() for p in model.parameters()),
        "final_loss": losses[-1] if losses else None,  # mean of the last ten steps
        "wall_seconds": round(_useful_seconds(out)),
        "resumed_from": checkpoint and os.path.basename(checkpoint),
        "mix": {"/".join(key): value for key, value in MIX.items()},
        "slip_rates": SLIP_RATES,
        "pack": {"name": pack.name, "fingerprint": pack.fingerprint},
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "bf16": arguments.bf16,
            "gpu": torch.cuda.get_device_name() if on_gpu else None,
        },
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }
    if config.init is not None:  # what that one was made with, as far as it says
        before = Path(config.init, RECIPE_FILE)
        recipe["went_on_from"] = json.loads(before.read_text()) if before.is_file() else None
    (out / RECIPE_FILE).write_text(json.dumps(recipe, indent=2) + "\n")
    return out
