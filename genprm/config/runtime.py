"""Where stages run on Ray, and on how much of it."""

from __future__ import annotations

from pydantic import Field

from genprm.config.base import Section


class RuntimeConfig(Section):
    """Where stages run on Ray, and on how much of it."""

    address: str | None = None
    """An existing cluster (`auto`, `ray://host:10001`); null starts Ray on this machine."""
    num_cpus: int | None = Field(default=None, ge=1)
    """Logical CPUs of a Ray started here; null counts the machine's."""
    num_gpus: int | None = Field(default=None, ge=0)
    """GPUs of a Ray started here; null counts the machine's."""
    engine_replicas: int = Field(default=1, ge=1)
    """Engines that a batch stage runs side by side."""
    gpus_per_engine: float = Field(default=0, ge=0)
    """GPUs reserved for one engine; 0: `engine.gpu.tensor_parallel_size` where the cluster has
    GPUs."""
    rows_per_block: int = Field(default=16, ge=1)
    """Rows that are written, and after a kill resumed, together."""
    storage_path: str | None = None
    """Where checkpoints are kept: storage that all nodes share; null for one machine."""
