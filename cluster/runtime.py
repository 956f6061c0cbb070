"""Ray start-up and shut-down, and what an engine may take of the machine.

Stages, training and service ask here for the options of their actors; what one machine computes
with is in `genprm.util.hardware`. Knows nothing of rows, prompts or models.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from genprm.config.root import Config
from genprm.config.runtime import RuntimeConfig
from genprm.errors import ConfigError, one_line
from genprm.util.hardware import threads_for_each

# Least logical CPUs of a Ray that is started here. Read, checkpoint filter, repartition and write
# each need one while an engine runs: with two the pipeline may never move. Their work is light, and
# the engine's own processes are outside Ray's accounting.
MIN_LOCAL_CPUS = 4
PROBE_SECONDS = 10.0
DEBUG_ENV = "GENPRM_DEBUG"
AUTH_HINT = (
    "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token "
    "to the cluster's token"
)


def start(config: RuntimeConfig) -> bool:
    """Start Ray on this machine, or connect to the cluster that `address` or RAY_ADDRESS names.

    Returns:
        True if this call connected the process: the caller then calls `stop` when done. False if
        it was connected before.

    Raises:
        ConfigError: no cluster at the address, or one that refuses the token.
    """
    debug = bool(os.environ.get(DEBUG_ENV))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's workers run at nice 15, where an engine starves as soon as anything else is busy
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {
        "log_to_driver": debug,  # engines and workers log to Ray's session folder all the same
        "logging_level": logging.INFO if debug else logging.ERROR,
    }
    address = config.address or os.environ.get("RAY_ADDRESS")
    with contextlib.nullcontext() if debug else _hush_core():
        if address in (None, "", "local"):
            ray.init(
                address="local",  # never a cluster that happens to run on this machine
                num_cpus=config.num_cpus or max(MIN_LOCAL_CPUS, os.cpu_count() or 1),
                num_gpus=_local_gpus(config),
                include_dashboard=False,
                **quiet,
            )
        else:
            _connect(str(address), quiet)
    _quiet_data(debug)
    return True


def _local_gpus(config: RuntimeConfig) -> int | None:
    """GPUs of a Ray started here: none where torch was built for CPUs, whatever Ray would find."""
    if config.num_gpus is None and version("torch").endswith("+cpu"):
        return 0
    return config.num_gpus


def stop() -> None:
    """Disconnect; a Ray that `start` started ends, and every process in it."""
    import ray

    ray.shutdown()


@contextlib.contextmanager
def session(config: RuntimeConfig) -> Iterator[None]:
    """Be connected to Ray: `start`, and at the end `stop` if that connected the process."""
    connected_here = start(config)
    try:
        yield
    finally:
        if connected_here:
            stop()


def gpu_count() -> int:
    """GPUs of the connected cluster, busy ones included."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def engine_options(config: Config, replicas: int) -> dict[str, Any]:
    """Ray options for each of `replicas` actors that own one engine. Needs a connected Ray.

    vLLM runs in processes of its own, outside Ray's accounting. Where there are GPUs the actor
    reserves one for each tensor-parallel rank; a cluster that adds GPU nodes on demand shows
    none at first: set `runtime.gpus_per_engine` there. An engine reserves one logical CPU, but
    none where they are few, because the tasks that feed it need them. On CPUs OMP_NUM_THREADS is
    this machine's cores divided by `replicas`, even on other nodes. An engine that only asks a
    server or a Python function reserves nothing.
    """
    if config.engine.kind != "vllm":
        return {"num_cpus": 0, "num_gpus": 0}
    import ray

    cpus = ray.cluster_resources().get("CPU", 0)
    gpus = config.runtime.gpus_per_engine
    if not gpus and gpu_count():
        gpus = config.engine.gpu.tensor_parallel_size
    options: dict[str, Any] = {"num_cpus": int(cpus >= MIN_LOCAL_CPUS), "num_gpus": gpus}
    if not gpus:
        # Ray's own default is the number of CPUs that the actor reserves
        threads = threads_for_each(replicas)
        options["runtime_env"] = {"env_vars": {"OMP_NUM_THREADS": str(threads)}}
    return options


@contextlib.contextmanager
def _hush_core() -> Iterator[None]:
    """Keep the log lines of Ray's C++ core off stderr, now and while this process is connected.

    They warn of what Ray Data itself does. Ray reads the level when it starts and prints a line
    about it, so stderr is closed for that moment; errors are raised all the same.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    sys.stderr.flush()
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)


def _connect(address: str, quiet: dict[str, Any]) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    _probe(address)
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError) as error:  # ValueError: a dashboard's http address
        raise ConfigError(f"no Ray cluster at {address}: {one_line(error, 200)}") from error
    except AuthenticationError as error:
        raise ConfigError(f"the Ray cluster at {address} wants a token: {AUTH_HINT}") from error


def _probe(address: str) -> None:
    """Refuse (ConfigError) an address where nothing listens; Ray would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():  # `auto`, or what only Ray can read
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
    except OSError as error:
        raise ConfigError(f"no Ray cluster at {address}: {error.strerror or error}") from None


def _quiet_data(debug: bool) -> None:
    """Turn off Ray Data's bars and plan print-outs: the progress line replaces them."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    if not debug:
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised as well
