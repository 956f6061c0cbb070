"""Bearer tokens of the scoring service: where they stand, and who may come in.

Tokens are read where the application is built, from the environment or a file, and never from a
config. Replicas get their SHA-256 only, because what is passed to them shows in Ray's own pages.
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
# For whoever looks whether the service lives, and the page, which asks for a token. A bare prefix
# ("") is sent on to the page.
OPEN_PATHS = frozenset({"/health", "", *PATHS})
SHORTEST = 16  # characters: a shorter one can be found from its hash


def token_hashes() -> tuple[str, ...]:
    """The hashes of the tokens that this process's environment names; none without any.

    Raises:
        ConfigError: a file that cannot be read, no token where some are meant to be, or a token
            that is too short or has blanks or signs beyond ASCII in it.
    """
    found = []
    if (given := os.environ.get(TOKENS_ENV)) is not None:
        found += _checked(given.split(","), TOKENS_ENV)
    if (path := os.environ.get(FILE_ENV)) is not None:
        where = f"{FILE_ENV}: {path}"
        try:
            lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: {getattr(error, 'strerror', None) or error}") from None
        found += _checked([line for line in lines if not line.lstrip().startswith("#")], where)
    return tuple(_hash(token) for token in found)


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
        if scope["type"] == "lifespan" or _path(scope) in OPEN_PATHS or self._lets_in(scope):
            await self._app(scope, receive, send)
            return
        said = {"error": "authorization: a bearer token is needed", "field": "authorization"}
        refusal = JSONResponse(said, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        if not self._hashes:
            return True
        header: bytes = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, token = header.decode("latin-1").partition(" ")
        found = _hash(token.strip())
        known = [hmac.compare_digest(found, each) for each in self._hashes]  # all, in equal time
        return kind.lower() == "bearer" and any(known)


def _path(scope: Scope) -> str:
    """The path under the prefix that the application is mounted at."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "").rstrip("/"))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
