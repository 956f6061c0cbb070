"""The vLLM engine on a tiny random model, against plain transformers where numbers matter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters import make_adapter
from genprm.config.engine import CpuConfig, EngineConfig
from genprm.config.score import ScoreConfig
from genprm.engines.vllm import VllmEngine
from genprm.engines.vllm_process import engine_arguments
from genprm.errors import ConfigError, EngineError, PromptTooLongError
from genprm.generation import Generation, Prompt, Sampling
from genprm.prompts.packs import load_pack
from genprm.prompts.render import critique_prompt
from genprm.scoring.scorer import Scorer
from running_engine import CONFIG, CONTEXT, RunningEngine

TEXT = 256
TEXT = "Check the last step. Write a short critique, then the verdict.\n4 + 5 = 9\n3 * 9 = 27\n"


@pytest.fixture
def running(engine_on_tiny: RunningEngine) -> RunningEngine:
    return engine_on_tiny


def next_token_probs(model: Path, ids: tuple[int, ...], adapter: Path | None = None) -> Any:
    """P(next token) after `ids` by transformers: a tensor of vocabulary size."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    if adapter is not None:
        loaded = PeftModel.from_pretrained(loaded, adapter)
    with torch.no_grad():
        return loaded(torch.tensor([ids])).logits[0, -1].softmax(-1)


def test_samples_n_completions_within_the_budget(running: RunningEngine) -> None:
    generation = running.generate(TEXT, Sampling(n=6, max_tokens=12))
    assert len(generation.completions) == 6
    assert generation.prompt_tokens == len(running.ids(TEXT))
    for one in generation.completions:
        assert 1 <= len(one.token_ids) <= 12
        assert one.finish_reason == ("length" if len(one.token_ids) == 12 else "stop")
        assert one.stop_reason is None
        assert one.label_probs is None
    assert len({one.token_ids for one in generation.completions}) == 6


def test_text_is_the_decoded_tokens_without_special_ones(running: RunningEngine) -> None:
    for one in running.generate(TEXT, Sampling(n=8, max_tokens=60)).completions:
        text = running.engine.tokenizer.decode(one.token_ids, skip_special_tokens=True)
        assert one.text.rstrip("�") == text.rstrip("�")  # half a character at the end


def test_text_ends_before_the_stop_string_that_it_names(running: RunningEngine) -> None:
    stops = ("e", "st", " a", "7")
    completions = running.generate(TEXT, Sampling(n=16, max_tokens=100, stop=stops)).completions
    assert not any(stop in one.text for one in completions for stop in stops)
    stopped = [one for one in completions if one.stop_reason is not None]
    assert stopped
    for one in stopped:
        assert one.finish_reason == "stop"
        assert one.stop_reason in stops
        decoded = running.engine.tokenizer.decode(one.token_ids, skip_special_tokens=True)
        assert decoded.startswith(one.text + one.stop_reason)


def test_label_probabilities_are_those_of_the_first_position(running: RunningEngine) -> None:
    prompt = TEXT + "Verdict:"
    labels = running.ids(" correct")[0], running.ids(" incorrect")[0]
    expected = next_token_probs(running.model, running.ids(prompt))
    for sampling in (
        Sampling(max_tokens=1, temperature=0.0),
        Sampling(n=3, max_tokens=5, temperature=0.3, stop=("e",)),
    ):
        for one in running.generate(prompt, sampling, label_token_ids=labels).completions:
            assert one.label_probs is not None
            for label in labels:
                assert one.label_probs[label] == pytest.approx(float(expected[label]), rel=1e-3)


def test_greedy_takes_the_likeliest_token_and_refuses_siblings(running: RunningEngine) -> None:
    generation = running.generate(TEXT, Sampling(temperature=0.0, max_tokens=1))
    likeliest = int(next_token_probs(running.model, running.ids(TEXT)).argmax())
    assert generation.completions[0].token_ids == (likeliest,)
    with pytest.raises(ConfigError, match="n must be 1, got 4"):
        running.generate(TEXT, Sampling(n=4, temperature=0.0))


def test_a_shared_prefix_is_computed_once(running: RunningEngine) -> None:
    prompt = running.ids("A prefix that no other test has. " + TEXT * 5)
    assert len(prompt) > 4 * 32
    first = running.generate(prompt, Sampling(max_tokens=1))
    again = running.generate(prompt, Sampling(max_tokens=1))
    assert first.cached_tokens == 0
    assert again.cached_tokens == (len(prompt) - 1) // 32 * 32


def test_a_second_step_is_judged_on_the_first_ones_cached_prefix(
    running: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = load_pack("native")
    scorer = Scorer(running.engine, pack, ScoreConfig(votes=1, max_critique_tokens=4))
    problem, steps = "What is 8 * 8 - 3?", ["8 * 8 = 64", "64 - 3 = 61"]
    running.run(scorer.score(problem, steps[:1]))
    cached, generate = dict[int, int](), running.engine.generate  # by the prompt's length

    async def watched(prompt: Prompt, sampling: Sampling, **others: Any) -> Generation:
        generation = await generate(prompt, sampling, **others)
        if sampling.max_tokens == 4:  # a critique, not its verdict
            cached[len(prompt.token_ids)] = generation.cached_tokens
        return generation

    monkeypatch.setattr(running.engine, "generate", watched)
    running.run(scorer.score(problem, steps))
    first, second = (
        critique_prompt(pack, running.engine.tokenizer, problem, steps[:n]).token_ids
        for n in (1, 2)
    )
    shared = next(i for i, pair in enumerate(zip(first, second, strict=False)) if len({*pair}) > 1)
    assert shared > 32
    assert cached[len(first)] == (len(first) - 1) // 32 * 32
    assert cached[len(second)] >= shared // 32 * 32


def test_a_prompt_must_leave_room_and_the_budget_shrinks_to_it(running: RunningEngine) -> None:
    full = running.ids(TEXT * 20)[:CONTEXT]
    with pytest.raises(PromptTooLongError) as caught:
        running.generate(full, Sampling(max_tokens=1))
    assert (caught.value.length, caught.value.limit) == (CONTEXT, CONTEXT)
    one = running.generate(full[:-1], Sampling(max_tokens=50)).completions[0]
    assert len(one.token_ids) == 1
    for one in running.generate(full[:-9], Sampling(n=4, max_tokens=50)).completions:
        assert len(one.token_ids) <= 9


def test_seeded_requests_under_load_do_not_kill_the_engine(running: RunningEngine) -> None:
    assert not running.engine.capabilities.seeds  # vLLM on CPU
    prompt = running.ids(TEXT * 20)[:200]
    prompts = [Prompt((), "", (*running.ids(str(i)), *prompt)) for i in range(24)]

    async def burst() -> list[Generation]:
        sampling = Sampling(n=2, max_tokens=4, seed=7)
        return await asyncio.gather(*(running.engine.generate(p, sampling) for p in prompts))

    assert [len(g.completions) for g in running.run(burst())] == [2] * 24
    running.run(running.engine.check_health())


def test_cancelling_aborts_the_request(running: RunningEngine) -> None:
    async def start_and_cancel() -> int:
        prompt = Prompt((), "", running.ids(TEXT))
        sampling = Sampling(n=16, max_tokens=CONTEXT)
        task = asyncio.create_task(running.engine.generate(prompt, sampling))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert running.engine._llm is not None
        return running.engine._llm.get_num_unfinished_requests()

    assert running.run(start_and_cancel()) == 0


def test_a_request_that_vllm_refuses_fails_alone_in_one_line(running: RunningEngine) -> None:
    for prompt, sampling in (((10**6,), Sampling()), (running.ids(TEXT), Sampling(top_p=2.0))):
        with pytest.raises(EngineError) as caught:
            running.generate(prompt, sampling)
        assert "\n" not in str(caught.value)
    assert running.generate(TEXT, Sampling(max_tokens=1)).completions


def test_adapters_are_put_on_per_request(running: RunningEngine, tmp_path: Path) -> None:
    ids = running.ids(TEXT)
    labels = running.ids(" correct")[0], running.ids(" incorrect")[0]
    adapters = [make_adapter(running.model, tmp_path / str(seed), seed) for seed in (1, 2)]
    sampling = Sampling(max_tokens=1)
    for adapter in (*adapters, None, adapters[0]):
        name = str(adapter) if adapter else None
        generation = running.generate(ids, sampling, label_token_ids=labels, adapter=name)
        expected = next_token_probs(running.model, ids, adapter)
        probs = generation.completions[0].label_probs
        assert probs is not None
        for label in labels:
            assert probs[label] == pytest.approx(float(expected[label]), rel=1e-2)


def test_an_adapter_that_cannot_be_loaded_leaves_the_engine_alive(
    running: RunningEngine, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="not a PEFT adapter"):
        running.generate(TEXT, Sampling(), adapter=str(tmp_path / "missing"))
    too_large = make_adapter(running.model, tmp_path / "large", seed=3, rank=64)
    broken = make_adapter(running.model, tmp_path / "broken", seed=3)
    (broken / "adapter_model.safetensors").write_bytes(b"not weights")
    for adapter in (too_large, broken):
        with pytest.raises(EngineError) as caught:
            running.generate(TEXT, Sampling(), adapter=str(adapter))
        assert str(adapter) in str(caught.value)
        assert "\n" not in str(caught.value)
    running.run(running.engine.check_health())
    assert running.generate(TEXT, Sampling(max_tokens=1)).completions


def test_start_refuses_what_cannot_work_in_one_line(running: RunningEngine, tmp_path: Path) -> None:
    too_long = CONFIG.model_copy(update={"max_model_len": 10**6})
    unknown = CONFIG.model_copy(update={"extra": {"no_such_argument": 1}})
    for config, model in ((CONFIG, tmp_path), (too_long, running.model), (unknown, running.model)):
        with pytest.raises(ConfigError) as caught:
            running.run(VllmEngine.start(config, str(model)))
        assert "\n" not in str(caught.value)
        assert str(model) in str(caught.value)


def test_arguments_follow_the_config_and_the_device() -> None:
    config = EngineConfig(
        cpu=CpuConfig(kv_cache_gib=0.5), block_size=None, extra={"seed": 3, "dtype": "auto"}
    )
    cpu = engine_arguments(config, "m", None, on_cpu=True)
    gpu = engine_arguments(config, "m", None, on_cpu=False)
    assert cpu["kv_cache_memory_bytes"] == 2**29
    assert "gpu_memory_utilization" not in cpu
    assert "kv_cache_memory_bytes" not in gpu
    assert "block_size" not in cpu  # null is left to vLLM
    assert (cpu["seed"], cpu["dtype"]) == (3, "auto")
    assert "enable_lora" not in cpu
    wide = EngineConfig(dtype="float32")
    assert engine_arguments(wide, "m", 8, on_cpu=True)["enable_lora"]
    with pytest.raises(ConfigError, match="float32"):
        engine_arguments(wide, "m", 8, on_cpu=False)


def test_the_number_format_of_the_checkpoint_is_left_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    def dtype(on_cpu: bool, **flags: bool) -> str:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
        return engine_arguments(EngineConfig(), "m", None, on_cpu=on_cpu)["dtype"]

    assert dtype(True) == "float32" and dtype(True, amx_bf16=True) == "auto"
    assert dtype(False) == "auto"


def test_lora_rank_is_rounded_up_to_what_vllm_has() -> None:
    def rank(adapter_rank: int, largest: int) -> int:
        config = EngineConfig(max_lora_rank=largest)
        return engine_arguments(config, "m", adapter_rank, on_cpu=True)["max_lora_rank"]

    assert [rank(4, 1), rank(8, 8), rank(8, 16), rank(48, 16)] == [8, 8, 16, 64]
    with pytest.raises(ConfigError, match="600"):
        rank(600, 16)


OWNER = """
import asyncio, sys
import psutil
from genprm.config.engine import EngineConfig
from genprm.engines.vllm import VllmEngine

async def main():
    config = EngineConfig.model_validate_json(sys.argv[1])
    engine = await VllmEngine.start(config, sys.argv[2])
    print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
    await asyncio.sleep(3600)

if __name__ == "__main__":
    asyncio.run(main())
"""
OWNERS = (  # what binds threads, and the processes of an engine then
    ({}, 1),
    ({"VLLM_CPU_OMP_THREADS_BIND": "nobind"}, 2),
)


@pytest.mark.engine
def test_no_process_outlives_an_owner_that_is_killed(tiny_model: Path, tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    command = [sys.executable, str(script), CONFIG.model_dump_json(), str(tiny_model)]
    with contextlib.ExitStack() as stack:
        owners = []  # they start side by side, for that takes long
        for binding, processes in OWNERS:
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | binding
            owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            stack.enter_context(owner)
            stack.callback(owner.kill)
            owners.append((owner, processes))
        for owner, processes in owners:
            assert owner.stdout is not None
            children = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
            # the engine's core, and where threads are bound the model in another
            names = [child.name() for child in children]
            owner.kill()
            _, alive = psutil.wait_procs(children, timeout=120)
            for child in alive:
                child.kill()
            assert sum(name.startswith("VLLM::") for name in names) == processes
            assert not alive


def test_close_fails_what_is_in_flight_and_ends_the_processes(running: RunningEngine) -> None:
    """Ends the engine that all tests share: keep it the last of them."""
    children = psutil.Process().children(recursive=True)
    engines = [child for child in children if "VLLM" in "".join(child.cmdline())]
    assert engines

    async def close_while_generating() -> list[Any]:
        prompt = Prompt((), "", running.ids(TEXT))
        sampling = Sampling(n=16, max_tokens=CONTEXT)
        tasks = [asyncio.create_task(running.engine.generate(prompt, sampling)) for _ in range(4)]
        await asyncio.sleep(0.05)
        await running.engine.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = running.run(close_while_generating())
    assert [type(outcome) for outcome in outcomes] == [EngineError] * 4
    _, alive = psutil.wait_procs(engines, timeout=120)
    assert not alive
    with pytest.raises(EngineError, match="closed"):
        running.generate(TEXT, Sampling())
    with pytest.raises(EngineError, match="closed"):
        running.run(running.engine.check_health())
    running.run(running.engine.close())
