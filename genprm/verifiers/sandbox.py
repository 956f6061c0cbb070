"""Untrusted Python in bubblewrap: no network, no writes outside a scratch folder in memory, limits.

Every call is a fresh set of namespaces that ends with it, whatever the program has started. The
file system is the interpreter and the system's libraries, read-only; nothing of the caller's files
or environment is in it. Root is given up inside: a caller that is root runs the program as a user
that nobody else is, so that the limit on processes holds for it too.

Knows nothing of problems or tests.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from genprm.errors import ConfigError

UNSAFE = "GENPRM_RUN_UNTRUSTED_CODE_WITHOUT_SANDBOX"  # set to "yes" to do just that
SCRATCH = "/scratch"
PYTHON = "/python"
_FIRST_UID = 2_000_000_000  # above what systems and containers hand out
# Runs first inside: limits, then no more root, then the program, which it reads to the end.
_PRELUDE = """
import os, resource, sys
uid, cpu, memory, processes, file_size = map(int, sys.argv[1:6])
for name, limit in (("CPU", cpu), ("AS", memory), ("NPROC", processes), ("FSIZE", file_size),
                    ("CORE", 0), ("NOFILE", 64)):
    resource.setrlimit(getattr(resource, "RLIMIT_" + name), (limit, limit))
if uid:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
program = sys.stdin.buffer.read()
sys.argv = ["program"]
del uid, cpu, memory, processes, file_size, name, limit, resource, os, sys
exec(compile(program, "program", "exec"), {"__name__": "__main__"})
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use."""

    seconds: float = 10.0  # wall time; CPU time is bounded by the next whole second
    memory_mib: int = 512  # address space of each process
    processes: int = 8
    output_bytes: int = 65_536
    scratch_mib: int = 16


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
        probe = subprocess.run(
            [*_command(path, Limits()), "-c", "print(1)"],
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if probe.stdout == b"1\n" else None


def run_python(program: str, limits: Limits = Limits()) -> Run:
    """Run a program with nothing but the standard library.

    Raises:
        ConfigError: there is no working bubblewrap, and nobody said in so many words that
            untrusted code may run without one.
    """
    path = sandbox_program()
    if path is None and os.environ.get(UNSAFE) != "yes":
        raise ConfigError(
            "running untrusted code needs bubblewrap (Debian: apt install bubblewrap); to run it "
            f"with your own rights and no protection, set {UNSAFE}=yes"
        )
    command = _command(path, limits) if path else [sys.executable, "-I"]
    arguments = _prelude_arguments(limits, with_uid=path is not None)
    process = subprocess.Popen(
        [*command, "-c", _PRELUDE, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.defpath},
        start_new_session=True,
    )
    try:
        return _watch(process, program.encode("utf-8", "replace"), limits)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe and not pipe.closed:
                pipe.close()


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
        *("--remount-ro", "/"),
        *("--setenv", "TMPDIR", SCRATCH, "--setenv", "HOME", SCRATCH, "--chdir", SCRATCH),
        *("--setenv", "PYTHONHASHSEED", "0", "--setenv", "PYTHONIOENCODING", "utf-8:replace"),
        PYTHON + os.path.realpath(_interpreter()).removeprefix(os.path.realpath(sys.base_prefix)),
        "-I",
        "-S",
    ]


def _interpreter() -> str:
    """Python outside any virtual environment: the program gets the standard library alone."""
    return getattr(sys, "_base_executable", None) or sys.executable


def _prelude_arguments(limits: Limits, with_uid: bool) -> list[str]:
    uid = _FIRST_UID + os.getpid() * 64 + time.monotonic_ns() % 64
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
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
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
