"""A chat server in a thread, in the common protocol of such servers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fastapi
import uvicorn


class Server:
    """Answers as its attributes say and keeps every request; can be away and come back."""

    def __init__(self) -> None:
        self.app = fastapi.FastAPI()
        self.app.post("/v1/chat/completions")(self.chat)
        self.app.get("/v1/models")(self.models)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.failures: list[tuple[int, Any]] = []  # (status, body) for the next requests
        self.most_choices = 100
        self.choice: dict[str, Any] = {}
        self.pause = 0.0
        self.models_status = 200
        self.port = 0  # until it first serves: any

    async def chat(self, request: fastapi.Request) -> Any:
        body = await request.json()
        self.requests.append(body)
        number = len(self.requests)  # before any other request comes in
        self.keys.append(request.headers.get("authorization"))
        await asyncio.sleep(self.pause)
        if self.failures:
            status, content = self.failures.pop(0)
            return fastapi.responses.JSONResponse(content, status)
        choices = [
            {
                "index": i,
                "message": {"role": "assistant", "content": f"answer {number}.{i}"},
                "finish_reason": "stop",
            }
            | self.choice
            for i in range(min(body["n"], self.most_choices))
        ]
        usage = {
            "prompt_tokens": 11,
            "completion_tokens": 2,
            "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 8},
        }
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": choices,
            "usage": usage,
        }

    async def models(self) -> Any:
        model = {"id": "critic", "object": "model", "created": 0, "owned_by": "us"}
        content = {"object": "list", "data": [model | {"max_model_len": 777}]}
        return fastapi.responses.JSONResponse(content, self.models_status)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve, always at the same port; at the end, whoever waits for an answer gets none."""
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            self.port = listener.getsockname()[1]
            settings = uvicorn.Config(self.app, log_level="critical", timeout_graceful_shutdown=0)
            web = uvicorn.Server(settings)
            thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                yield
            finally:
                web.should_exit = True
                thread.join()
