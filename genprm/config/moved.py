"""Keys of earlier versions, and what became of each: old configs are refused with the new name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def _moved(old: str, new: str, *keys: str) -> dict[str, str]:
    """Keys of section `old` that section `new` has now, under the same names."""
    return {f"{old}.{key}": f"moved to '{new}.{key}'" for key in keys}


MOVED: dict[str, str] = {
    "solve.splitter": "moved to 'splitter', one key for all stages",
    "label.splitter": "moved to 'splitter', one key for all stages",
    "score.splitter": "moved to 'splitter', one key for all stages",
    **_moved("engine", "engine.openai", "base_url", "api_key_env"),
    "engine.request_timeout_s": "moved to 'engine.openai.timeout_s'",
    "engine.request_retries": "moved to 'engine.openai.retries'",
    **_moved("engine", "engine.cpu", "kv_cache_gib"),
    "engine.gpu_memory_utilization": "moved to 'engine.gpu.memory_utilization'",
    **_moved("engine", "engine.gpu", "tensor_parallel_size"),
    **_moved("label", "label.adaptive", "confidence", "min_confidence", "min_information"),
    **_moved("label", "label.adaptive", "recovery_rate", "repeat_rate"),
    "label.min_ratio": "was dropped: it is 0.8 (genprm.labeling.relative)",
    "label.advantage_weight": "was dropped: it is 0.8 (genprm.labeling.relative)",
    "label.round_rollouts": "was dropped: it is 1 (genprm.labeling.adaptive)",
    "distill.writer_error_rate": "moved to 'distill.rule.error_rate'",
    "distill.teacher_model": "moved to 'distill.teacher.model'",
    "distill.teacher_temperature": "moved to 'distill.teacher.temperature'",
    "distill.teacher_max_tokens": "moved to 'distill.teacher.max_tokens'",
    **_moved("distill", "distill.teacher", "show_label"),
    "distill.balance_ratio": "moved to 'distill.balance', which is the ratio itself",
    "train.lora_r": "moved to 'train.lora.r'",
    "train.lora_alpha": "moved to 'train.lora.alpha'",
    "score.early_stop": "moved to 'score.early_stopping.enabled'",
    **_moved("score", "score.early_stopping", "round_votes"),
    "score.stop_risk": "moved to 'score.early_stopping.risk'",
    "score.budget": "was dropped: 'score.votes' limits the critiques of a step",
    "serve.end_tokens": "was dropped: the end tokens of common chat formats are always cut off",
    "runtime.cpus_per_engine": "was dropped: an engine that runs here reserves one CPU",
}


def moved_key(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first key of a raw config that an earlier version had, and what became of it; None if
    there is none."""
    for key, value in _keys(data):
        if key in MOVED:
            return key, MOVED[key]
        if key == "distill.balance" and isinstance(value, bool):
            return key, "is the ratio itself now: 1 in place of true, null in place of false"
    return None


def _keys(data: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        key = f"{path}{name}"
        yield key, value
        if isinstance(value, Mapping):
            yield from _keys(value, f"{key}.")
