"""The kind `critic`: supervised fine-tuning on critique targets.

A row is rendered with the chat template once; the prompt is masked, and the critique with its end
of turn is trained. Rows that are too long are left out and counted, never run. Knows TRL's
trainer but not how it is run, resumed or watched: see `cluster.training`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from genprm.config.root import Config
from genprm.config.train import TrainConfig
from genprm.errors import ConfigError, InputError
from genprm.models.tokenizers import load_tokenizer
from genprm.prompts.packs import PromptPack
from genprm.prompts.render import LabelTokens, label_tokens
from genprm.records import CritiqueTarget
from genprm.training.base import LOSS_POINTS, Kind, Prepared, loss_summary, plan
from genprm.util.hardware import has_gpu, is_bf16_faster

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import TrainerCallback

    from genprm.training.trainer import CriticTrainer

IGNORED = -100  # the label of a token that is not trained, everywhere in torch and transformers
TOKENIZE_ROWS = 1000
LOG_POINTS = 200  # per run: enough for a loss curve, few enough to keep in every checkpoint


def check_targets(rows: Sequence[CritiqueTarget], pack: PromptPack) -> None:
    """InputError unless every completion ends in the verdict that the pack has for its label.

    Rows of another pack would train a critic that its manifest calls one of this pack.
    """
    for row in rows:
        verdict = pack.opener + pack.label_text(row.label) + pack.closer
        if not row.completion or not row.completion[-1].get("content", "").endswith(verdict):
            raise InputError(
                f"row {row.id!r}: the completion does not end in {verdict!r}, the verdict of prompt"
                f" pack {pack.name!r}"
            )


def prepare_dataset(
    rows: Sequence[CritiqueTarget],
    tokenizer: Any,
    max_length: int,
    *,
    label_tokens: LabelTokens | None = None,
    verdict_weight: float = 1.0,
) -> Prepared:
    """Render and tokenise targets; rows of more than `max_length` tokens are dropped.

    The columns are `input_ids` and `labels` (the prompt masked), `length` in tokens, and `weights`,
    one per token, if any differs from 1: a row's own weight (1 on average), times `verdict_weight`
    on the tokens that decide a verdict, which the pack's `label_tokens` find.

    Raises:
        InputError: no row is left, or the beginning of a completion merges with the prompt's end.
        ConfigError: a tokenizer without a chat template, or one that rewrites the prompt.
    """
    from datasets import Dataset, Features, List, Value

    if not tokenizer.chat_template:
        raise ConfigError(f"{tokenizer.name_or_path}: the tokenizer has no chat template")
    ids: list[list[int]] = []
    labels: list[list[int]] = []
    weights: list[float] = []
    for row, tokens, prompt_length in _encoded(rows, tokenizer):
        if len(tokens) <= max_length:
            ids.append(tokens)
            labels.append([IGNORED] * prompt_length + tokens[prompt_length:])
            weights.append(row.weight)
    if not ids:
        raise InputError(f"all {len(rows)} rows are longer than train.max_length={max_length}")
    columns: dict[str, Any] = {"input_ids": ids, "labels": labels, "length": list(map(len, ids))}
    features = {"input_ids": List(Value("int32")), "labels": List(Value("int32"))}
    features["length"] = Value("int32")
    if verdict_weight != 1 or any(weight != 1 for weight in weights):
        mean = math.fsum(weights) / len(weights)  # the learning rate keeps its meaning
        columns["weights"] = [[w / mean] * len(row) for w, row in zip(weights, ids, strict=True)]
        features["weights"] = List(Value("float32"))
    if verdict_weight != 1:
        assert label_tokens is not None
        for tokens, targets, token_weights in zip(ids, labels, columns["weights"], strict=True):
            for at in _verdicts(tokens, targets, label_tokens):
                token_weights[at] *= verdict_weight
    dataset = Dataset.from_dict(columns, features=Features(features))
    return Prepared(dataset, len(rows) - len(ids))


def _verdicts(tokens: list[int], targets: list[int], verdict: LabelTokens) -> list[int]:
    """Places of the labels that decide: those after an opener, of which a critique of a whole
    solution has many, and the last label."""
    # the opener's first token may have merged with the text before it
    opener = list(verdict.opener_ids[1:] or verdict.opener_ids)
    deciding = {verdict.correct_id, verdict.incorrect_id}
    labels = [place for place, token in enumerate(targets) if token in deciding]
    opened = [place for place in labels if tokens[place - len(opener) : place] == opener]
    return sorted({*opened, *labels[-1:]})


def build_trainer(
    model_name: str,
    dataset: Dataset,
    config: TrainConfig,
    output_dir: str | Path,
    *,
    tokenizer: Any = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> CriticTrainer:
    """A trainer over a prepared dataset; `train(resume_from_checkpoint=...)` runs it.

    Loads the model: weights in float32 for full training, so that small updates are not rounded
    away, and in the compute format under an adapter. Checkpoints go to `output_dir`.

    Raises:
        ConfigError: batch sizes that do not divide.
    """
    from trl import SFTConfig

    from genprm.training.trainer import CriticTrainer

    gpu = has_gpu()
    bf16 = is_bf16_faster() if config.bf16 is None else config.bf16
    run = plan(len(dataset), config)
    arguments = SFTConfig(
        output_dir=str(output_dir),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=run.micro_batch,
        gradient_accumulation_steps=run.accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(config.warmup_ratio * run.steps),
        weight_decay=config.weight_decay,
        optim="adamw_torch_fused",
        max_length=None,  # nothing is cut: long rows were left out
        seed=config.seed,
        bf16=bf16,
        use_cpu=not gpu,
        gradient_checkpointing=gpu,  # saves GPU memory and costs a fifth of the speed
        model_init_kwargs={
            "dtype": "bfloat16" if bf16 and config.method == "lora" else "float32",
            "device_map": None,
        },
        save_steps=config.save_steps,
        logging_steps=max(1, run.steps // LOG_POINTS),
        logging_first_step=True,
        include_num_input_tokens_seen="non_padding",
        remove_unused_columns=False,  # the collator reads `weights`, the sampler `length`
        dataloader_pin_memory=gpu,
        report_to=[],
        disable_tqdm=True,
    )
    return CriticTrainer(
        model=model_name,
        args=arguments,
        train_dataset=dataset,
        processing_class=tokenizer or load_tokenizer(model_name),
        peft_config=_lora(config) if config.method == "lora" else None,
        callbacks=list(callbacks),
    )


def save_critic(trainer: CriticTrainer, directory: str | Path, base: str) -> None:
    """Write weights or adapter in bfloat16 safetensors, with tokenizer and chat template.

    `base` is what an adapter's config names as its base model: a directory, a hub name, or an
    embedded one. The model is converted in place, so this is the end of its training.
    """
    import json

    import torch

    directory = Path(directory)
    model = trainer.accelerator.unwrap_model(trainer.model).to(torch.bfloat16)
    model.save_pretrained(directory)
    trainer.processing_class.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)  # a card template without content
    adapter = directory / "adapter_config.json"
    if adapter.is_file():
        settings = json.loads(adapter.read_text(encoding="utf-8"))
        settings["base_model_name_or_path"] = base
        adapter.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _lora(config: TrainConfig) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        target_modules="all-linear",  # embeddings and head stay out: vLLM loads the adapter as is
        task_type="CAUSAL_LM",
    )


def _encoded(
    rows: Sequence[CritiqueTarget], tokenizer: Any
) -> Iterator[tuple[CritiqueTarget, list[int], int]]:
    """Each row with its token ids and the length of its prompt in them."""

    def ids(texts: list[str]) -> list[list[int]]:
        # the chat template has written every special token that belongs there, a BOS included
        encoded: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
        return encoded

    def text(messages: list[dict[str, str]], open_turn: bool) -> str:
        rendered: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=open_turn
        )
        return rendered

    remaining = iter(rows)
    while batch := list(islice(remaining, TOKENIZE_ROWS)):
        prompts = [text(row.prompt, True) for row in batch]
        dialogues = [text([*row.prompt, *row.completion], False) for row in batch]
        for row, prompt_text, dialogue in zip(batch, prompts, dialogues, strict=True):
            if not dialogue.startswith(prompt_text):
                raise ConfigError(
                    f"{tokenizer.name_or_path}: its chat template changes the prompt when an answer"
                    f" follows (row {row.id!r}), so where the prompt ends is unclear"
                )
        for row, prompt, tokens in zip(batch, ids(prompts), ids(dialogues), strict=True):
            if tokens[: len(prompt)] != prompt:
                raise InputError(
                    f"row {row.id!r}: the beginning of the completion merges with the prompt's last"
                    " token; a completion begins with a word"
                )
            yield row, _ended(tokens, len(prompt), tokenizer.eos_token_id), len(prompt)


def _ended(tokens: list[int], prompt_length: int, eos: int) -> list[int]:
    """Tokens up to the end of turn that engines stop at; one is added where the template has none.

    Templates write a line end after it, which no critic should learn to generate.
    """
    for at in range(len(tokens) - 1, prompt_length - 1, -1):
        if tokens[at] == eos:
            return tokens[: at + 1]
    return [*tokens, eos]


def _check(rows: Sequence[CritiqueTarget], config: Config) -> None:
    check_targets(rows, config.prompt_pack())


def _prepare(rows: Sequence[CritiqueTarget], tokenizer: Any, config: Config) -> Prepared:
    return prepare_dataset(
        rows,
        tokenizer,
        config.train.max_length,
        label_tokens=label_tokens(config.prompt_pack(), tokenizer),
        verdict_weight=config.train.verdict_weight,
    )


def _summary(trainer: CriticTrainer) -> dict[str, float]:
    log = trainer.state.log_history
    metrics = loss_summary(log, trainer.state.global_step)
    accuracies = [entry["mean_token_accuracy"] for entry in log if "mean_token_accuracy" in entry]
    if accuracies:  # TRL does not count it where tokens have weights
        metrics["token_accuracy"] = fmean(accuracies[-LOSS_POINTS:])
    return metrics


CRITIC = Kind(
    record=CritiqueTarget,
    uses_pack=True,
    check=_check,
    prepare=_prepare,
    build_trainer=build_trainer,
    save=save_critic,
    summary=_summary,
)
