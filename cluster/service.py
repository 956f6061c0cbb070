"""The Ray Serve application: replicas that each own an engine and its scorer, reached over HTTP.

All prefixes and votes of a solution are one call to one replica, so they share its prefix cache.
`build_app` makes the application from a config, for `serve run` as for `run`, which starts Ray
and Serve around it. What requests and answers look like is `cluster.serving.routes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import errno
import logging
import os
import re
import signal
import socket
import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import ray
from fastapi import FastAPI
from pydantic import ValidationError
from ray import serve
from ray.serve import context
from ray.serve.config import AutoscalingConfig, BackpressureConfig, ProxyLocation

from cluster import runtime
from cluster.actors import DEFAULT_NAME
from cluster.serving.host import CriticHost
from cluster.serving.routes import build_routes
from cluster.serving.tokens import token_hashes
from cluster.serving.version import CriticVersion
from genprm.client.http import Client
from genprm.config.load import parse_config
from genprm.config.root import Config
from genprm.config.serve import ServeConfig
from genprm.errors import ConfigError, EngineError, GenprmError, one_line
from genprm.scoring.base import ScoreItem, ScoreOptions
from genprm.scoring.critic import load_critic
from genprm.util.validation import first_problem

ENGINE_END_S = 20.0  # for an engine's own end, once its replica has answered what it had
DRAIN_POLL_S = 1.0  # how often Serve looks whether it has
TARGET_SHARE = 2 / 3  # of max_ongoing_requests, where autoscaling names no target
START_ATTEMPTS = 2  # of a replica: a second failure in a row is not transient
# Serve's own logs, which are files of Ray's session: not a line for each request.
QUIET: dict[str, Any] = {"log_level": "WARNING", "enable_access_log": False}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANSWER_SECONDS = 30.0  # for the first health check, once Serve says that the application runs

logger = logging.getLogger("ray.serve")


@serve.ingress()
class ScoringService:
    """One replica: the routes of `cluster.serving.routes`, and the same methods for handles.

    Handle methods return judgements as plain rows, as HTTP does; `cluster.actors.connect` makes
    records of them. The engine is closed once a stopping replica has answered its last request.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, args: dict[str, Any], token_hashes: Sequence[str], deployment: str
    ):
        self._token_hashes = token_hashes
        self._version, self._changing = CriticVersion(deployment), asyncio.Lock()
        self._host = await CriticHost.start(parse_config(args))
        await self._follow()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_routes(self._host, self._token_hashes)

    async def score(
        self,
        problem: str,
        steps: Sequence[str],
        *,
        id: str | None = None,
        **options: Unpack[ScoreOptions],
    ) -> dict[str, Any]:
        """The row of one judgement; see `StepScorer.score`."""
        return (await self._host.score(ScoreItem(problem, steps, id, **options))).row()

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[dict[str, Any]]:
        """The rows of many judgements, in the order of `items`."""
        return [judgement.row() for judgement in await self._host.score_batch(items)]

    async def prepare(self, directory: str) -> None:
        """See `CriticHost.prepare`."""
        await self._host.prepare(directory)

    async def adopt(self, directory: str) -> dict[str, Any]:
        """See `CriticHost.adopt`; replicas that start later adopt the version, too."""
        async with self._changing:
            await self._version.set(directory)
            return (await self._host.adopt(directory)).row()

    async def check_health(self) -> None:
        """Serve replaces a replica whose engine is dead. A replica that was starting while the
        others adopted another version of the critic adopts it here."""
        await self._host.engine.check_health()
        try:
            await self._follow()
        except GenprmError as error:  # the critic that serves here is still better than none
            logger.warning("the version that the service adopted cannot be loaded: %s", error)

    async def _follow(self) -> None:
        """Adopt the version that the service adopted since it was deployed, if any."""
        async with self._changing:
            directory = await self._version.get()
            if directory is not None and directory != self._host.config.models.critic:
                await self._host.adopt(directory)


def build_app(args: dict[str, Any]) -> serve.Application:
    """The application for a config given as a plain mapping; the builder of Serve config files,
    which may take one argument only.

    Needs a connected Ray, which tells whether engines run on GPUs. Host and port are Serve's own
    settings and are not read here. Bearer tokens come from this process's environment
    (`cluster.serving.tokens`).

    Raises:
        ConfigError: an unknown key, a directory that is no model, a pack that cannot be loaded,
            tokens that cannot be read.
    """
    return _application(check_config(parse_config(args)), token_hashes())


def _application(config: Config, hashes: Sequence[str]) -> serve.Application:
    settings, scaling = config.serve, replica_settings(config.serve)
    deployment = serve.deployment(
        ScoringService,
        **scaling,
        max_ongoing_requests=settings.max_ongoing_requests,
        max_queued_requests=settings.max_queued_requests,
        backpressure_config=BackpressureConfig(retry_after_s=settings.retry_after_s),
        graceful_shutdown_wait_loop_s=DRAIN_POLL_S,
        graceful_shutdown_timeout_s=settings.drain_s + ENGINE_END_S,
        max_constructor_retry_count=START_ATTEMPTS,
        ray_actor_options=runtime.engine_options(config, most_replicas(scaling)),
    )
    return deployment.bind(config.model_dump(mode="json"), hashes, uuid.uuid4().hex)


def replica_settings(settings: ServeConfig) -> dict[str, Any]:
    """Serve's own settings for the number of replicas.

    Raises:
        ConfigError: a key of `serve.autoscaling` that Ray Serve does not have or take.
    """
    if settings.autoscaling is None:
        return {"num_replicas": settings.num_replicas}
    fields = AutoscalingConfig.model_fields
    if unknown := next((key for key in settings.autoscaling if key not in fields), None):
        near = difflib.get_close_matches(unknown, fields, n=1)
        hint = f"; did you mean 'serve.autoscaling.{near[0]}'?" if near else ""
        raise ConfigError(f"unknown config key 'serve.autoscaling.{unknown}'{hint}")
    if "max_replicas" not in settings.autoscaling:
        raise ConfigError("config key 'serve.autoscaling.max_replicas': field required")
    named = {key: value for key, value in settings.autoscaling.items() if value is not None}
    target = {"target_ongoing_requests": TARGET_SHARE * settings.max_ongoing_requests}
    try:
        scaling = AutoscalingConfig(**{**target, **named})
    except (ValidationError, TypeError) as error:
        key, message = "", str(error)
        if isinstance(error, ValidationError):
            key, message, _ = first_problem(error)
        at = f"serve.autoscaling.{key}" if key else "serve.autoscaling"
        raise ConfigError(f"config key '{at}': {one_line(message)}") from None
    ongoing = scaling.target_ongoing_requests or 0
    if ongoing > settings.max_ongoing_requests:
        raise ConfigError(
            f"config key 'serve.autoscaling.target_ongoing_requests': {ongoing:g} is more than a "
            f"replica works on at once (serve.max_ongoing_requests {settings.max_ongoing_requests})"
        )
    return {"autoscaling_config": scaling}


def most_replicas(scaling: Mapping[str, Any]) -> int:
    """How many replicas there may be at once, by what `replica_settings` gave."""
    config: AutoscalingConfig | None = scaling.get("autoscaling_config")
    return int(scaling["num_replicas"] if config is None else config.max_replicas)


def check_config(config: Config) -> Config:
    """The config as replicas get it, with the pack's own sampling and with absolute paths, because
    they work in other folders. Loads no weights.

    Raises:
        ConfigError: see `genprm.scoring.critic.load_critic`; tokens that cannot be read, or
            autoscaling that Ray Serve does not take.
    """
    replica_settings(config.serve)
    token_hashes()
    return load_critic(config).config.anchored()


def run(config: Config, *, blocking: bool, name: str = DEFAULT_NAME, tokens: bool = True) -> str:
    """Start the service, print its address when it answers, and return it.

    With `blocking` it serves until Ctrl-C or SIGTERM and then takes the service down, and Ray
    with it if it started Ray. Without, the caller does so, by `stop` and `cluster.runtime.stop`.
    Port 0 means a free port. Without `tokens` no request needs one, whatever the environment says.

    Raises:
        ConfigError: settings that cannot work or an address in use, before Ray is started; a
            service of that name on the cluster.
        EngineError: the service did not come up; what was started is taken down again.
    """
    config = check_config(config)
    address = check_address(config)
    print(f"genprm is starting the service of {config.models.critic} ...", flush=True)
    own_ray = runtime.start(config.runtime)
    stays = deployed = False
    try:
        if name in serve.status().applications:  # somebody else's: neither replaced nor taken down
            raise ConfigError(f"a service {name!r} runs already on this Ray cluster")
        deployed = True
        url = _deploy(config, address, name, tokens)
        print(f"genprm serves {config.models.critic} at {url}", flush=True)
        if config.serve.host not in LOOPBACK and not (tokens and token_hashes()):
            print("without tokens: whoever reaches this address may ask (GENPRM_TOKENS_FILE)")
        if blocking:
            _wait_for_the_end()
        stays = not blocking
    finally:
        if not stays:
            if deployed:
                stop(name)
            if own_ray:
                runtime.stop()
    return url


def deploy(config: Config, *, name: str = DEFAULT_NAME, tokens: bool = True) -> str:
    """Put the service on the connected Ray, where it outlives this process, and return its address.
    One of that name is changed over replica by replica.

    Raises:
        ConfigError: settings that cannot work.
        EngineError: the service did not come up.
    """
    config = check_config(config)
    return _deploy(config, check_address(config), name, tokens)


def stop(name: str = DEFAULT_NAME) -> None:
    """Take a service down: requests in flight are answered within `serve.drain_s`, then its engines
    are closed."""
    while name in serve.status().applications:
        with contextlib.suppress(TimeoutError):  # after a minute of Serve's own
            serve.delete(name)
    # Serve keeps its controller across the Ray sessions of a process: the next one needs its own
    context._disconnect()


def check_address(config: Config) -> tuple[str, int]:
    """The host and port to listen on, with a free port in place of 0.

    Where Serve already runs, here or on a cluster elsewhere, it keeps its own address and nothing
    is checked.

    Raises:
        ConfigError: the port is in use, or this machine has no such host.
    """
    host, port = config.serve.host, config.serve.port
    cluster = config.runtime.address or os.environ.get("RAY_ADDRESS", "local")
    if cluster != "local" or (ray.is_initialized() and serve.status().proxies):
        return host, port
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(f"serve.host: {host}: {error.strerror}") from None
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # as Serve does: a port whose last connections are still closing is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            key = "host" if error.errno == errno.EADDRNOTAVAIL else "port"
            raise ConfigError(
                f"serve.{key}: cannot listen on {host}:{port}: {error.strerror}"
            ) from None
        return host, probe.getsockname()[1]


def _deploy(config: Config, address: tuple[str, int], name: str, tokens: bool) -> str:
    """Run the application on the connected Ray, and return its address once it answers there."""
    host, port = address
    logs = {} if os.environ.get(runtime.DEBUG_ENV) else QUIET
    if logs:
        logging.getLogger("ray.serve").setLevel(logs["log_level"])  # of this process
    serve.start(
        proxy_location=ProxyLocation.EveryNode,
        http_options={"host": host, "port": port},
        logging_config=logs,
    )
    try:
        serve.run(
            _application(config, token_hashes() if tokens else ()),
            name=name,
            route_prefix=config.serve.route_prefix,
            logging_config=logs,
        )
    except RuntimeError as error:  # Serve gives up on a replica that does not start
        application = serve.status().applications.get(name)
        deployments = application.deployments.values() if application else ()
        messages = [deployment.message for deployment in deployments]  # may name the cause instead
        raise replica_error("\n".join([str(error), *messages])) from None
    url = _url(host, port, config.serve.route_prefix)
    try:
        with Client(url, deadline_s=ANSWER_SECONDS) as client:
            client.health()
    except (EngineError, ConfigError) as error:
        hint = "a Serve that ran before keeps its own address"
        raise EngineError(f"the service started, but not at {url} ({hint}): {error}") from None
    return url


def _url(host: str, port: int, route_prefix: str) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{reachable}]" if ":" in reachable else reachable
    return f"http://{shown}:{port}{route_prefix.rstrip('/')}"


def replica_error(message: str) -> GenprmError:
    """The error of a replica that did not start, out of Serve's message and its traceback."""
    errors = re.findall(r"^genprm\.errors\.(\w+): (.+)$", message, re.MULTILINE)
    if errors:
        kind, line = errors[-1]
        return ConfigError(line) if kind == "ConfigError" else EngineError(line)
    last = message.strip().splitlines()[-1].strip()
    return EngineError(f"the scoring service did not start: {last}")


def _wait_for_the_end() -> None:
    """Return at Ctrl-C or SIGTERM."""
    over = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: over.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        over.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
