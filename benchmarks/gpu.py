"""Scoring and training on a GPU, without Ray and with random weights.

    python benchmarks/gpu.py throughput --out DIR [--config configs/qwen2.5-7b.yaml] [--n 24]
    python benchmarks/gpu.py train --out DIR [--config configs/qwen2.5-7b.yaml]

`throughput`: a model of the config's architecture with random weights and a vocabulary of its size
(speed does not depend on the weights' values; every critique runs to its token limit). All
prefixes of n written solutions of each built-in task, the config's votes, through
`Scorer.score_batch`, then the same prompts through `LLM.generate` in a process of its own.
`train`: two optimizer steps of the config's `train` section on rows of its `max_length`; reports
the peak of torch's memory. Each writes DIR/<name>.json.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

from critique_job import critique_job, critique_tokens, written_solutions
from genprm.config.load import load_config
from genprm.config.root import Config
from genprm.engines.vllm import VllmEngine
from genprm.models.names import resolve_model
from genprm.scoring.base import ScoreItem
from genprm.scoring.scorer import Scorer
from raw_vllm import generate

# The sizes of Qwen2.5, by the name of the policy in the config, built as a Llama with biases: for a
# Qwen2, transformers would build its own tokenizer.
SHAPES = {
    "Qwen/Qwen2.5-1.5B-Instruct": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen2.5-7B-Instruct": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
}
ROWS = 4  # of a training step: gradient accumulation takes time, not memory


def main() -> None:
    """One measurement."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["throughput", "train"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="configs/qwen2.5-7b.yaml")
    parser.add_argument("--n", type=int, default=24, help="solutions of each task")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # else vLLM could not fork
    import torch

    if not torch.cuda.is_available():
        parser.error("there is no GPU here")
    args.out.mkdir(parents=True, exist_ok=True)
    changes = [*args.set, "score.early_stopping.enabled=false"]
    config = load_config(args.config, changes).with_pack_sampling()
    shape = SHAPES.get(config.models.policy)
    if shape is None:
        parser.error(f"{args.config}: no known shape for {config.models.policy}")
    model = args.out / "model"
    if args.what == "train":
        measured = _train(config, shape, model)
    else:
        measured = _throughput(config, shape, model, args.n, args.out)
    measured |= {"config": args.config, "set": args.set, "device": torch.cuda.get_device_name(0)}
    (args.out / f"{args.what}.json").write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured))


def _describe(shape: dict[str, Any], folder: Path) -> Any:
    """Write config and tokenizer. The vocabulary is filled up with words that occur in no text, and
    each is one token again when a critique is tokenised to read its verdict."""
    from transformers import AutoTokenizer, LlamaConfig

    base = resolve_model("embedded:base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    words = content["model"]["vocab"]
    letters = itertools.product("qxzjkvwy", repeat=6)  # 262,144 of them, with a space in front
    missing = range(len(words), shape["vocab_size"])
    words |= {f"\u0120{''.join(next(letters))}": number for number in missing}
    content["model"]["ignore_merges"] = True  # each word of the vocabulary is one token
    file.write_text(json.dumps(content))
    config = LlamaConfig(
        **shape,
        architectures=["LlamaForCausalLM"],
        attention_bias=True,
        max_position_embeddings=32768,
        rope_theta=1_000_000.0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        dtype="bfloat16",
    )
    config.save_pretrained(folder)
    return config


def _throughput(
    config: Config, shape: dict[str, Any], model: Path, n: int, out: Path
) -> dict[str, Any]:
    _describe(shape, model)
    extra = config.engine.extra | {"load_format": "dummy"}
    config = config.model_copy(update={"engine": config.engine.model_copy(update={"extra": extra})})
    items = written_solutions(n)

    async def scored() -> dict[str, Any]:
        begun = time.monotonic()
        engine = await VllmEngine.start(config.engine, str(model))
        start = time.monotonic() - begun
        try:
            scorer = Scorer(engine, config.prompt_pack(), config.score)
            warm = await scorer.score_batch([ScoreItem("What is 1 + 1?", ["1 + 1 = 2"])])
            assert warm[0].steps[0].status == "ok"
            begun, cpu = time.monotonic(), time.process_time()
            judged = await scorer.score_batch(items)
            seconds = time.monotonic() - begun
            cpu = time.process_time() - cpu
        finally:
            await engine.close()
        usage = [judgement.usage for judgement in judged]
        total = {name: sum(each[name] for each in usage) for name in usage[0]}
        critiques = critique_tokens(judged)
        return {
            "start_s": start,
            "seconds": seconds,
            "frontend_cpu_s": cpu,
            "critique_tokens": critiques,
            "tokens_per_second": critiques / seconds,
            "usage": total,
            "statuses": sorted({step.status for j in judged for step in j.steps}),
        }

    measured: dict[str, Any] = {"solutions": len(items), "scorer": asyncio.run(scored())}
    print(json.dumps(measured), flush=True)
    raw = generate([critique_job(config, str(model), items)], out)
    measured["raw"] = raw.model_dump() | {"tokens_per_second": raw.tokens / raw.seconds}
    measured["ratio"] = (
        measured["scorer"]["tokens_per_second"] / measured["raw"]["tokens_per_second"]
    )
    return measured


def _train(config: Config, shape: dict[str, Any], model: Path) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, LlamaForCausalLM

    from genprm.training.sft import build_trainer

    described = _describe(shape, model)
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        network = LlamaForCausalLM(described)
        torch.set_default_dtype(torch.float32)
    network.save_pretrained(model)
    del network
    torch.cuda.empty_cache()
    train = config.train
    micro = min(ROWS, train.micro_batch_size)
    short = train.model_copy(update={"batch_size": ROWS, "micro_batch_size": micro, "epochs": 1})
    length = train.max_length
    ids = [[3 + (i * 7 + row) % 800 for i in range(length)] for row in range(2 * ROWS)]
    dataset = Dataset.from_dict({"input_ids": ids, "labels": ids, "length": [length] * len(ids)})
    tokenizer = AutoTokenizer.from_pretrained(model)
    torch.cuda.reset_peak_memory_stats()
    trainer = build_trainer(str(model), dataset, short, model.parent / "run", tokenizer=tokenizer)
    begun = time.monotonic()
    result = trainer.train()
    seconds = time.monotonic() - begun
    return {
        "rows": len(ids),
        "length": length,
        "micro_batch": micro,
        "seconds": seconds,
        "tokens_per_second": len(ids) * length / seconds,
        "loss": result.training_loss,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
        "reserved_gib": torch.cuda.max_memory_reserved() / 2**30,
    }


if __name__ == "__main__":
    main()
