"""The settings of every stage: one section and one file each, put together in `root`.

`load_config` reads YAML, applies `--set` and refuses mistakes in one line.
"""

from __future__ import annotations

from genprm.config.load import load_config, parse_config
from genprm.config.root import Config

__all__ = ["Config", "load_config", "parse_config"]
