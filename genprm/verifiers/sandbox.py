"""Runs untrusted Python in bubblewrap: no network, writes only to a folder in memory, limits.

Every call has a fresh set of namespaces, which ends with the call and ends all processes in it. The
file system holds the interpreter, the system's libraries and the packages that the caller names,
read-only, and nothing else of the caller's files or environment. The program never runs as root: a
caller that is root runs it under a user id of its own, so that the limit on processes holds too.
Memory is limited per process, and therefore in total by that times the number of processes; shared
memory that no process has mapped is not limited.

Knows nothing of problems or tests.
"""

from __future__ import annotations

import itertools
import os
import re
import selectors
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from typing import Literal

from genprm.errors import ConfigError, EngineError, one_line

UNSAFE = "GENPRM_RUN_UNTRUSTED_CODE_WITHOUT_SANDBOX"  # "yes" does what the name says
SCRATCH = "/scratch"
PYTHON = "/python"
PACKAGES = "/packages"
_FIRST_UID = 2_000_000_000  # above the ids that systems and containers assign
READY = b"ready\n"
# Runs first inside: sets limits, gives up root, writes READY, then runs the program.
_PRELUDE = """
import os, resource, sys
uid, cpu, memory, processes, file_size, length = map(int, sys.argv[1:7])
if uid:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
for name, limit in (("CPU", cpu), ("AS", memory), ("NPROC", processes), ("FSIZE", file_size),
                    ("CORE", 0), ("NOFILE", 64)):
    name = getattr(resource, "RLIMIT_" + name)
    most = resource.getrlimit(name)[1]
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(name, (limit, limit))
program = sys.stdin.buffer.read(length)
sys.argv = ["program"]
os.write(1, b"ready\\n")
del uid, cpu, memory, processes, file_size, length, name, limit, most, resource, os, sys
exec(compile(program, "program", "exec"), {"__name__": "__main__"})
"""
_uids = itertools.count(_FIRST_UID + os.getpid() % 2**20 * 64)
_uid_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one program."""

    seconds: float = 10.0  # wall time; the limit of CPU time is the next whole second
    memory_mib: int = 512  # address space of each process
    processes: int = 8
    output_bytes: int = 65_536
    scratch_mib: int = 16


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Run:
    """How a program ended. `returncode` is None if it was stopped from outside."""

    ended: Literal["by itself", "time", "output"]
    returncode: int | None
    output: str  # stdout and stderr together, up to Limits.output_bytes


@cache
def sandbox_program() -> str | None:
    """The path of a bubblewrap that works here; None without one."""
    path = shutil.which("bwrap")
    if path is None or sys.platform != "linux":
        return None
    try:
        return path if _start("print(1)", Limits(seconds=60), path).output == "1\n" else None
    except (OSError, EngineError):
        return None


def check_sandbox() -> None:
    """Check that untrusted code may run here: in bubblewrap, or because UNSAFE allows it without.

    Raises:
        ConfigError: neither is the case.
    """
    if sandbox_program() is None and os.environ.get(UNSAFE) != "yes":
        raise ConfigError(
            "running untrusted code needs bubblewrap (Debian: apt install bubblewrap); to run it "
            f"with your own rights and no protection, set {UNSAFE}=yes"
        )


def run_python(
    program: str, limits: Limits = DEFAULT_LIMITS, packages: Sequence[str] = (), stdin: str = ""
) -> Run:
    """Run a program with nothing but the standard library, and those of `packages`, with what
    these require, that are installed here. `stdin` is what it can read there.

    Raises:
        ConfigError: there is no working bubblewrap, and UNSAFE is not set.
        EngineError: the sandbox did not start this time.
    """
    check_sandbox()
    return _start(program, limits, sandbox_program(), packages, stdin)


def _start(
    program: str,
    limits: Limits,
    bwrap: str | None,
    packages: Sequence[str] = (),
    stdin: str = "",
) -> Run:
    code = program.encode("utf-8", "replace")
    command = _command(bwrap, limits, packages) if bwrap else [sys.executable, "-I"]
    process = subprocess.Popen(
        [*command, "-c", _PRELUDE, *_prelude_arguments(limits, bwrap is not None), str(len(code))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.defpath},
        start_new_session=True,
    )
    try:
        run = _watch(process, code + stdin.encode("utf-8", "replace"), limits)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe and not pipe.closed:
                pipe.close()
    before, ready, output = run.output.partition(READY.decode())
    if not ready:  # the program has not begun, so the failure is the sandbox's
        raise EngineError(f"the sandbox did not start: {one_line(before)[-300:] or run}")
    return replace(run, output=output)


def _command(bwrap: str, limits: Limits, packages: Sequence[str]) -> list[str]:
    """Everything up to the interpreter, which takes `-c` next."""
    # Root gets no user namespace: in one, the program would have root's limit on processes (none).
    root = os.geteuid() == 0
    apart = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    keep = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    # Python is bound to a path that every user may enter; the folders above it may be root's alone.
    places = {path: path for path in ("/usr", "/lib", "/lib64", "/bin")} | {PYTHON: sys.base_prefix}
    places |= {f"{PACKAGES}/{name}": path for name, path in _files_of(tuple(packages)).items()}
    binds = [a for inside, path in places.items() for a in ("--ro-bind-try", path, inside)]
    return [
        bwrap,
        *([*apart, *keep] if root else ["--unshare-all"]),
        *("--die-with-parent", "--new-session", "--clearenv"),
        *("--perms", "0755", "--dir", PACKAGES),
        *binds,
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", str(limits.scratch_mib << 20), "--tmpfs", SCRATCH),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--setenv", "TMPDIR", SCRATCH, "--setenv", "HOME", SCRATCH, "--chdir", SCRATCH),
        *("--setenv", "PYTHONHASHSEED", "0", "--setenv", "PYTHONIOENCODING", "utf-8:replace"),
        *("--setenv", "PYTHONDONTWRITEBYTECODE", "1", "--setenv", "PYTHONPATH", PACKAGES),
        *("--setenv", "OPENBLAS_NUM_THREADS", "1"),  # each has its own share of the address space
        PYTHON + os.path.realpath(_interpreter()).removeprefix(os.path.realpath(sys.base_prefix)),
        *("-s", "-P", "-S"),
    ]


@cache
def _files_of(packages: tuple[str, ...]) -> dict[str, str]:
    """The files and folders of installed distributions, and of all that these require: their paths
    by name."""
    todo, names, places = list(packages), set[str](), dict[str, str]()
    while todo:
        name = todo.pop()
        names.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # also what only other systems need
            continue
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            places[top] = str(distribution.locate_file(top))
        required = [text for text in distribution.requires or () if "extra ==" not in text]
        todo += {re.split(r"[^\w.-]", text)[0] for text in required} - names
    return places


def _interpreter() -> str:
    """Python outside any virtual environment: the program has only the standard library."""
    return getattr(sys, "_base_executable", None) or sys.executable


def _prelude_arguments(limits: Limits, with_uid: bool) -> list[str]:
    with _uid_lock:  # two programs of one user would share the limit on processes
        uid = next(_uids)
    return [
        str(uid if with_uid and os.geteuid() == 0 else 0),
        str(int(limits.seconds) + 1),
        str(limits.memory_mib << 20),
        str(limits.processes),
        str(limits.scratch_mib << 20),
    ]


def _watch(process: subprocess.Popen[bytes], stdin: bytes, limits: Limits) -> Run:
    """Feed the program and its input, read its output, stop at the limits."""
    assert process.stdin and process.stdout
    deadline = time.monotonic() + limits.seconds
    output = bytearray()
    try:
        process.stdin.write(stdin)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it died before it had read everything; its exit status says why
    with selectors.DefaultSelector() as selector:  # select() knows no descriptor above 1023
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return Run("time", None, _text(output))
            chunk = os.read(process.stdout.fileno(), 65_536)
            output += chunk
            if len(output) > limits.output_bytes:
                return Run("output", None, _text(output[: limits.output_bytes]))
            if not chunk:
                break
    try:
        code = process.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:  # it closed its output and still runs
        return Run("time", None, _text(output))
    return Run("by itself", code, _text(output))


def _text(output: bytearray) -> str:
    return output.decode("utf-8", "replace")
