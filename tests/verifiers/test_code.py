"""Untrusted code: what passes, and what the sandbox keeps it from."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from genprm.errors import ConfigError
from genprm.records import Problem
from genprm.verifiers import sandbox as sandbox_module
from genprm.verifiers import verifier_for
from genprm.verifiers.base import grade
from genprm.verifiers.code import CodeVerifier
from genprm.verifiers.sandbox import UNSAFE, Limits, run_python, sandbox_program

needs_sandbox = pytest.mark.skipif(sandbox_program() is None, reason="no working bubblewrap")
SMALL = Limits(seconds=5, memory_mib=256, processes=4, output_bytes=1000, scratch_mib=1)
PROBLEM = Problem(id="p", problem="Add.", tests=["assert add(1, 2) == 3", "assert add(0, 0) == 0"])


def passes(*steps: str) -> bool | None:
    return grade(CodeVerifier(SMALL), PROBLEM, steps).correct


@needs_sandbox
def test_right_and_wrong_programs() -> None:
    assert verifier_for(PROBLEM).name == "code"
    assert passes("def add(a, b):", "    return a + b")
    assert passes("Here it is.\n```python\ndef add(a, b):\n    return a + b\n```\nDone.")
    assert passes("def add(a, b):\n    return a - b") is False
    assert passes("def add(a, b:") is False
    assert passes("x = 1") is False
    assert passes("print('hello')\ndef add(a, b):\n    return a + b")
    assert passes("def compile(x): ...\ndef print(x): ...\ndef add(a, b):\n    return a + b")
    assert passes("```text\nplan\n```\n```python3\ndef add(a, b):\n    return a + b\n```")
    assert passes("```py\ndef add(a, b):\n    return a + b\n```\n```\n3\n```\nThe output.")
    assert passes("```python\ndef add(a, b):\n    return a + b")
    assert passes("def add(a, b):\n    return a + b\nif __name__ == '__main__': input()")


@needs_sandbox
@pytest.mark.parametrize(
    "trick",
    [
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "raise SystemExit",
        "print('ok')\n'''",
        "def add(a, b):\n    return a + b\nwhile True: pass",
        "import os; os.kill(os.getppid(), 9)",
        "exec = lambda *a: None",
        "import builtins; builtins.exec = builtins.compile = lambda *a: None",
        "import os, sys; os.write = print; sys.exit = print",
    ],
)
def test_leaving_early_does_not_pass(trick: str) -> None:
    assert passes(trick) is False


@needs_sandbox
def test_the_network_is_out_of_reach() -> None:
    run = run_python(
        "import socket\ntry: socket.create_connection(('127.0.0.1', 22), 1)\n"
        "except OSError as e: print('no:', e)\n"
        "try: socket.create_connection(('192.0.2.1', 80), 1)\nexcept OSError as e: print('no:', e)",
        SMALL,
    )
    assert run.output.count("no:") == 2


@needs_sandbox
def test_nothing_outside_the_scratch_folder_is_written_or_seen(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    run = run_python(
        f"""
import os
for path in ("/etc/x", "/usr/x", "/x", {str(tmp_path)!r} + "/y", "/proc/sys/kernel/hostname"):
    try: open(path, "w").write("x"); print("WROTE", path)
    except OSError: pass
print(os.path.exists({str(secret)!r}), os.environ.get("SECRET"), os.path.exists("/etc/passwd"))
open("mine", "w").write("fine"); print(open("/scratch/mine").read(), os.getcwd())
print(os.getuid() != 0 and os.geteuid() != 0)
try: os.setuid(0); print("ROOT")
except OSError: print("stays")
""",
        SMALL,
    )
    assert run.output.split() == [
        *("False", "None", "False"),
        *("fine", "/scratch", "True", "stays"),
    ]
    assert list(tmp_path.iterdir()) == [secret]


@needs_sandbox
def test_time_memory_processes_output_and_space_are_bounded() -> None:
    assert run_python("while True: pass", Limits(seconds=1)).ended == "time"
    assert run_python("import time; time.sleep(3600)", Limits(seconds=1)).ended == "time"
    closes = "import os, time; os.close(1); os.close(2); time.sleep(3600)"
    assert run_python(closes, Limits(seconds=1)).ended == "time"
    assert "MemoryError" in run_python("x = bytearray(10**9)", SMALL).output
    assert run_python("while True: print('x' * 100)", SMALL).ended == "output"
    big = run_python("open('big', 'wb').write(b'x' * (8 << 20))", SMALL)
    assert big.returncode != 0
    fork = run_python(
        "import os, time\nn = 0\ntry:\n  while n < 100:\n    if os.fork() == 0: time.sleep(30)\n"
        "    n += 1\nexcept OSError: print('stopped at', n < 8)",
        SMALL,
    )
    assert "stopped at True" in fork.output


@needs_sandbox
def test_what_a_program_started_ends_with_it() -> None:
    marker = "sandbox-straggler-29831"
    run_python(
        "import os, sys, time\n"
        f"if os.fork() == 0:\n  os.setsid(); sys.argv = ['{marker}']\n"
        f"  os.execv(sys.executable, ['{marker}', '-c', 'import time; time.sleep(60)'])\n"
        "time.sleep(0.5)",
        SMALL,
    )
    time.sleep(0.5)
    listed = subprocess.run(["ps", "ax"], capture_output=True, text=True, check=False).stdout
    assert marker not in listed


def test_without_a_sandbox_it_refuses_unless_told_in_so_many_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox_module, "sandbox_program", lambda: None)
    monkeypatch.delenv(UNSAFE, raising=False)
    with pytest.raises(ConfigError, match="needs bubblewrap"):
        run_python("print(1)")
    monkeypatch.setenv(UNSAFE, "1")  # not those words
    with pytest.raises(ConfigError, match="needs bubblewrap"):
        run_python("print(1)")
    monkeypatch.setenv(UNSAFE, "yes")
    assert run_python("print(1)").output == "1\n"


@needs_sandbox
def test_programs_run_side_by_side_from_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    programs = [f"print({n} * 2)" for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        outputs = [run.output for run in pool.map(run_python, programs)]
    assert outputs == [f"{n * 2}\n" for n in range(8)]
