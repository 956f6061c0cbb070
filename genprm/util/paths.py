"""Where the files that ship with the package lie, in a checkout and in an installed wheel.

In a checkout `prompts/` and `configs/` stand beside the package; the wheel carries copies of both
under `genprm/_data/`. The embedded models are package files in either case. This module only
names files and folders: it opens nothing and does not know what lies in them.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _shared_dir(name: str) -> Path:
    # pyproject.toml tells a checkout from a site-packages folder that happens to hold `prompts`
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        return _PACKAGE.parent / name
    return _PACKAGE / "_data" / name


def absolute(path_or_name: str) -> str:
    """A path that exists made absolute; the name of something embedded, shipped or on a hub as it
    is."""
    path = Path(path_or_name).expanduser()
    return str(path.resolve()) if path.exists() else path_or_name


def prompts_dir() -> Path:
    """The folder of the prompt packs that ship with genprm (`native.yaml`, ...)."""
    return _shared_dir("prompts")


def configs_dir() -> Path:
    """The folder of the configs that ship with genprm (`tiny.yaml`, ...)."""
    return _shared_dir("configs")


def assets_dir() -> Path:
    """The folder of the embedded models (`base/`, `critic/`)."""
    return _PACKAGE / "assets"
