"""Untrusted Python in bubblewrap: no network, no writes outside a scratch folder in memory, limits.

Every call is a fresh set of namespaces that ends with it, whatever the program has started. The
file system is the interpreter and the system's libraries, read-only; nothing of the caller's files
or environment is in it. Root is given up inside: a caller that is root runs the program as a user
that nobody else is, so that the limit on processes holds for it too. Memory is bounded per process,
and so in all by that times the processes; shared memory that no process has mapped is not.

Knows nothing of problems or tests.
"""

from __future__ import annotations

import itertools
import os
import selectors
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from genprm.errors import ConfigError, EngineError, one_line

UNSAFE = "GENPRM_RUN_UNTRUSTED_CODE_WITHOUT_SANDBOX"  # set to "yes" to do just that
SCRATCH = "/scratch"
PYTHON = "/python"
_FIRST_UID = 2_000_000_000  # above what systems and containers hand out
READY = b"ready\n"
# Runs first inside: limits, then no more root, then a word that says so, then the program.
_PRELUDE = """
import os, resource, sys
uid, cpu, memory, processes, file_size = map(int, sys.argv[1:6])
if uid:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
for name, limit in (("CPU", cpu), ("AS", memory), ("NPROC", processes), ("FSIZE", file_size),
                    ("CORE", 0), ("NOFILE", 64)):
    name = getattr(resource, "RLIMIT_" + name)
    most = resource.getrlimit(name)[1]
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(name, (limit, limit))
program = sys.stdin.buffer.read()
sys.argv = ["program"]
os.write(1, b"ready\\n")
del uid, cpu, memory, processes, file_size, name, limit, most, resource, os, sys
exec(compile(program, "program", "exec"), {"__name__": "__main__"})
"""
_uids = itertools.count(_FIRST_UID + os.getpid() % 2**20 * 64)
_uid_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use."""

    seconds: float = 10.0  # wall time; CPU time is bounded by the next whole second
    memory_mib: int = 512  # address space of each process
    processes: int = 8
    output_bytes: int = 65_536
    scratch_mib: int = 16


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Run:
    """How a program ended. `returncode` is None where it was stopped from outside."""

    ended: Literal["by itself", "time", "output"]
    returncode: int | None
    output: str  # stdout and stderr together, as far as they were read


@cache
def sandbox_program() -> str | None:
    """The path of a bubblewrap that works here, None without one."""
    path = shutil.which("bwrap")
    if path is None or sys.platform != "linux":
        return None
    try:
        return path if _start("print(1)", Limits(seconds=60), path).output == "1\n" else None
    except (OSError, EngineError):
        return None


def check_sandbox() -> None:
    """ConfigError unless untrusted code can run here: in bubblewrap, or because somebody said in so
    many words that it may run without."""
    if sandbox_program() is None and os.environ.get(UNSAFE) != "yes":
        raise ConfigError(
            "running untrusted code needs bubblewrap (Debian: apt install bubblewrap); to run it "
            f"with your own rights and no protection, set {UNSAFE}=yes"
        )


def run_python(program: str, limits: Limits = DEFAULT_LIMITS) -> Run:
    """Run a program with nothing but the standard library.

    Raises:
        ConfigError: there is no working bubblewrap, and nobody said in so many words that
            untrusted code may run without one.
        EngineError: the sandbox did not come up this time.
    """
    check_sandbox()
    return _start(program, limits, sandbox_program())


def _start(program: str, limits: Limits, bwrap: str | None) -> Run:
    command = _command(bwrap, limits) if bwrap else [sys.executable, "-I"]
    process = subprocess.Popen(
        [*command, "-c", _PRELUDE, *_prelude_arguments(limits, bwrap is not None)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.defpath},
        start_new_session=True,
    )
    try:
        run = _watch(process, program.encode("utf-8", "replace"), limits)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe and not pipe.closed:
                pipe.close()
    said, ready, rest = run.output.partition(READY.decode())
    if not ready:  # nothing of the program has run: its failure is not the program's
        raise EngineError(f"the sandbox did not come up: {one_line(said)[-300:] or run}")
    return replace(run, output=rest)


def _command(bwrap: str, limits: Limits) -> list[str]:
    """Everything up to the interpreter, which takes `-c` next."""
    # As root there must be no user namespace: in one, the process limit would be root's: none.
    root = os.geteuid() == 0
    apart = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    keep = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    # Python stands where everyone may go: above it there may be a folder that only root enters.
    system = {path: path for path in ("/usr", "/lib", "/lib64", "/bin")} | {PYTHON: sys.base_prefix}
    binds = [a for inside, path in system.items() for a in ("--ro-bind-try", path, inside)]
    return [
        bwrap,
        *([*apart, *keep] if root else ["--unshare-all"]),
        *("--die-with-parent", "--new-session", "--clearenv"),
        *binds,
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", str(limits.scratch_mib << 20), "--tmpfs", SCRATCH),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--setenv", "TMPDIR", SCRATCH, "--setenv", "HOME", SCRATCH, "--chdir", SCRATCH),
        *("--setenv", "PYTHONHASHSEED", "0", "--setenv", "PYTHONIOENCODING", "utf-8:replace"),
        *("--setenv", "PYTHONDONTWRITEBYTECODE", "1"),
        PYTHON + os.path.realpath(_interpreter()).removeprefix(os.path.realpath(sys.base_prefix)),
        *("-s", "-P", "-S"),
    ]


def _interpreter() -> str:
    """Python outside any virtual environment: the program gets the standard library alone."""
    return getattr(sys, "_base_executable", None) or sys.executable


def _prelude_arguments(limits: Limits, with_uid: bool) -> list[str]:
    with _uid_lock:  # two programs of one user would share its limit on processes
        uid = next(_uids)
    return [
        str(uid if with_uid and os.geteuid() == 0 else 0),
        str(int(limits.seconds) + 1),
        str(limits.memory_mib << 20),
        str(limits.processes),
        str(limits.scratch_mib << 20),
    ]


def _watch(process: subprocess.Popen[bytes], program: bytes, limits: Limits) -> Run:
    """Feed the program, read what it says, stop at the limits."""
    assert process.stdin and process.stdout
    deadline = time.monotonic() + limits.seconds
    said = bytearray()
    try:
        process.stdin.write(program)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it died before it had read everything; its end says why
    with selectors.DefaultSelector() as selector:  # select() knows no descriptor above 1023
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return Run("time", None, _text(said))
            chunk = os.read(process.stdout.fileno(), 65_536)
            said += chunk
            if len(said) > limits.output_bytes:
                return Run("output", None, _text(said[: limits.output_bytes]))
            if not chunk:
                break
    try:
        code = process.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:  # it closed its output and goes on
        return Run("time", None, _text(said))
    return Run("by itself", code, _text(said))


def _text(said: Sequence[int]) -> str:
    return bytes(said).decode("utf-8", "replace")
