"""vLLM executors that die with the process that owns the engine.

vLLM stops its workers when their EngineCore dies, but an EngineCore whose owner was killed (by
the out-of-memory killer, by a job that was stopped) waits for requests for ever. These executors
run inside the EngineCore and end it with its workers, which by themselves notice nothing before
they have loaded the model. The module is imported by name in the spawned process and knows nothing
else of genprm.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

from vllm.utils.system_utils import kill_process_tree
from vllm.v1.executor.abstract import Executor
from vllm.v1.executor.multiproc_executor import MultiprocExecutor
from vllm.v1.executor.uniproc_executor import UniProcExecutor

POLL_SECONDS = 1.0


def _die_with_owner() -> None:
    """Watch the owner from a thread for the rest of this process's life.

    The parent id changes as soon as the owner is gone, also when it went before this call; a
    poll needs no more than that, while PR_SET_PDEATHSIG fires when the owner's *thread* ends.
    """
    owner = multiprocessing.parent_process()
    if owner is None:  # the engine runs inside its owner
        return

    def watch() -> None:
        while os.getppid() == owner.pid:
            time.sleep(POLL_SECONDS)
        kill_process_tree(os.getpid())

    threading.Thread(target=watch, name="genprm-owner-watch", daemon=True).start()


class OwnedMultiprocExecutor(MultiprocExecutor):
    """`MultiprocExecutor` that dies with its owner."""

    def _init_executor(self) -> None:
        _die_with_owner()
        super()._init_executor()


class OwnedUniProcExecutor(UniProcExecutor):
    """`UniProcExecutor` that dies with its owner."""

    def _init_executor(self) -> None:
        _die_with_owner()
        super()._init_executor()


def owned(executor: type[Executor]) -> type[Executor]:
    """The owned form of a local executor; others (Ray's) end with their own actors."""
    forms: dict[type[Executor], type[Executor]] = {
        MultiprocExecutor: OwnedMultiprocExecutor,
        UniProcExecutor: OwnedUniProcExecutor,
    }
    return forms.get(executor, executor)
