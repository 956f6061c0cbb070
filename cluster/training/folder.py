"""The folder of a trained model: OUT with its manifest, and OUT.parts while it is unfinished.

A finished model of the same config and input is left alone, an unfinished one is claimed by one
process at a time, and anything else is refused before a byte is written. Knows no Ray.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genprm.config.compare import fingerprint, first_difference
from genprm.data import storage
from genprm.errors import ConfigError
from genprm.models.manifest import Manifest, load_manifest, write_manifest

SUMMARY_FILE = "summary.json"  # of a worker, beside the critic in the last checkpoint of a run


class CriticFolder:
    """One OUT and the run that may write it. `decides` has what decides the weights, by config key
    (`Config.decides`), and `data`, the hash of the training rows."""

    def __init__(self, out: str, decides: Mapping[str, Any]):
        if storage.is_uri(out):
            raise ConfigError(f"--out {out}: a critic is written to a local folder, not to a URI")
        if not out.strip("/"):
            raise ConfigError(f"--out {out!r} names no folder")
        self.path = Path(storage.absolute(out.rstrip("/")))
        self.parts = Path(f"{self.path}.parts")
        self.decides = dict(decides)
        self.fingerprint = fingerprint(decides)
        self._state = str(self.parts / "run.json")

    def finished(self) -> Manifest | None:
        """The manifest, if this very run is finished; None if nothing is there.

        Raises:
            ConfigError: what is there, finished or not, belongs to something else. The message
                names the first setting that differs.
        """
        if storage.exists(str(self.path)):
            manifest = load_manifest(self.path) if self.path.is_dir() else None
            if manifest is None:
                raise ConfigError(
                    f"{self.path} exists and is not a finished critic: nothing was overwritten, "
                    "choose another --out"
                )
            self._refuse_other(manifest.decides, self.path)
            return manifest
        state = storage.read_json(self._state)
        if state is not None:
            self._refuse_other(state.get("decides"), self.parts)
        return None

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold OUT.parts against a second process; any death frees it.

        Raises:
            ConfigError: another process is at work on it.
        """
        self.parts.mkdir(parents=True, exist_ok=True)
        with open(self.parts / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"another run is writing {self.path}: wait or stop it") from None
            storage.write_json(self._state, {"decides": self.decides})
            yield

    def publish(self, source: str | Path, **fields: Any) -> Manifest:
        """Put the worker's critic in its place, manifest included, in one step.

        Args:
            source: a folder with the critic and its SUMMARY_FILE; it stays as it is.
            fields: what else the manifest holds.
        """
        staged = self.path.parent / f".{self.path.name}.staged"
        storage.remove(str(staged))
        shutil.copytree(source, staged)
        summary = storage.read_json(str(staged / SUMMARY_FILE))
        assert summary is not None  # written by the worker with the critic
        (staged / SUMMARY_FILE).unlink()
        manifest = Manifest(fingerprint=self.fingerprint, decides=self.decides, **summary, **fields)
        write_manifest(staged, manifest)
        os.rename(staged, self.path)  # over an empty folder too
        return manifest

    def drop_parts(self) -> None:
        """Remove what an unfinished run needs."""
        storage.remove(str(self.parts))

    def _refuse_other(self, recorded: Mapping[str, Any] | None, path: Path) -> None:
        difference = first_difference(recorded, self.decides)
        if difference is None:
            return
        what = "input" if difference.startswith("data ") else "config"
        raise ConfigError(
            f"{path} belongs to another {what} ({difference}): nothing was overwritten, choose "
            "another --out or remove it"
        )
