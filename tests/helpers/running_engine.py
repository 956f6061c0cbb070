"""A vLLM engine for tests, with the event loop that it lives in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from genprm.config.engine import CpuConfig, EngineConfig
from genprm.engines.vllm import VllmEngine
from genprm.generation import Generation, Prompt

CONTEXT = 256
# Few batched tokens, so that prompts are prefilled in chunks as they are under load.
CONFIG = EngineConfig(
    dtype="float32",
    max_model_len=CONTEXT,
    max_num_seqs=32,
    cpu=CpuConfig(kv_cache_gib=0.25),
    extra={"max_num_batched_tokens": 256},
)


class RunningEngine:
    """An engine, its event loop's `run`, and the directory of its model."""

    def __init__(self, runner: asyncio.Runner, engine: VllmEngine, model: Path):
        self.run = runner.run
        self.engine = engine
        self.model = model

    def ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.engine.tokenizer(text)["input_ids"])

    def generate(self, prompt: str | tuple[int, ...], *args: Any, **kwargs: Any) -> Generation:
        ids = self.ids(prompt) if isinstance(prompt, str) else prompt
        return self.run(self.engine.generate(Prompt((), "", ids), *args, **kwargs))

    @asynccontextmanager
    async def openai_server(self, name: str) -> AsyncIterator[str]:
        """The URL of vLLM's own server of the OpenAI protocol over this engine, as `name`."""
        from vllm.entrypoints.launchers.api_server.app_state import init_app_state
        from vllm.entrypoints.launchers.app import build_app
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
        from vllm.utils.argparse_utils import FlexibleArgumentParser

        options = ["--model", str(self.model), "--served-model-name", name]
        arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(options)
        llm = self.engine._llm
        assert llm is not None
        tasks = await llm.get_supported_tasks()
        app = build_app(arguments, tasks, llm.model_config)
        await init_app_state(llm, app.state, arguments, tasks)
        web = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
        serving = asyncio.create_task(web.serve())
        while not web.started:
            assert not serving.done(), serving.exception()
            await asyncio.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}/v1"
        finally:
            web.should_exit = True
            await serving
