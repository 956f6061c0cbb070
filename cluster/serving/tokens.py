"""Bearer tokens of the scoring service: where they are read from, and which requests pass.

Tokens are read where the application is built, from the environment or a file, and never from a
config. Replicas get their SHA-256 only, because their arguments show in Ray's own pages.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.serving.page import PATHS
from genprm.errors import ConfigError

TOKENS_ENV = "GENPRM_TOKENS"  # one or more, with commas between
FILE_ENV = "GENPRM_TOKENS_FILE"  # one on each line; blank lines and those with # do not count
# Open to health checks and to the page, which itself asks for a token. A bare prefix ("") is sent
# on to the page.
OPEN_PATHS = frozenset({"/health", "/ping", "", *PATHS})
SHORTEST = 16  # characters: a shorter one can be found from its hash


def token_hashes() -> tuple[str, ...]:
    """The hashes of the tokens that this process's environment names; none without any.

    Raises:
        ConfigError: a file that cannot be read, a source without a token in it, or a token that is
            too short or has blanks or characters beyond ASCII in it.
    """
    tokens = []
    if (listed := os.environ.get(TOKENS_ENV)) is not None:
        tokens += _checked(listed.split(","), TOKENS_ENV)
    if (path := os.environ.get(FILE_ENV)) is not None:
        where = f"{FILE_ENV}: {path}"
        try:
            lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: {getattr(error, 'strerror', None) or error}") from None
        tokens += _checked([line for line in lines if not line.lstrip().startswith("#")], where)
    return tuple(_hash(token) for token in tokens)


def _checked(texts: Sequence[str], where: str) -> list[str]:
    tokens = [text.strip() for text in texts if text.strip()]
    if not tokens:
        raise ConfigError(f"{where}: no token in it")
    for number, token in enumerate(tokens, start=1):
        if len(token) < SHORTEST or not token.isascii() or len(token.split()) != 1:
            raise ConfigError(
                f"{where}: token {number}: at least {SHORTEST} ASCII characters without blanks"
            )
    return tokens


class BearerTokens:
    """ASGI middleware: requests with a known token pass, others get 401 and reach no route."""

    def __init__(self, app: ASGIApp, hashes: Sequence[str]):
        self._app, self._hashes = app, tuple(hashes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or path_of(scope) in OPEN_PATHS or self._lets_in(scope):
            await self._app(scope, receive, send)
            return
        content = {"error": "authorization: a bearer token is needed", "field": "authorization"}
        refusal = JSONResponse(content, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        if not self._hashes:
            return True
        header: bytes = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, token = header.decode("latin-1").partition(" ")
        digest = _hash(token.strip())
        matches = [hmac.compare_digest(digest, each) for each in self._hashes]  # in equal time
        return kind.lower() == "bearer" and any(matches)


def path_of(scope: Scope) -> str:
    """The path under the prefix that the application is mounted at."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "").rstrip("/"))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
