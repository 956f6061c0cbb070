"""What this machine computes with: GPU or not, bfloat16 or not, how many cores.

Two questions about bfloat16, because two parts use it differently. An engine stores weights in it
and computes in it, so that a CPU only has to have the instructions (`cpu_has_bf16`). Training
converts float32 weights on the way into every product, so that the instructions must also be
faster than float32 (`is_bf16_faster`). How Ray divides a cluster is in `cluster.runtime`.
"""

from __future__ import annotations

import os


def has_gpu() -> bool:
    """Whether torch sees a GPU here."""
    import torch

    return bool(torch.cuda.is_available())


def cpu_has_bf16() -> bool:
    """Whether this CPU has bfloat16 instructions; without them a product takes 50 times as long
    as in float32."""
    import torch

    cpu = torch.cpu.get_capabilities()
    return bool(cpu.get("amx_bf16") or cpu.get("avx512_bf16"))


def is_bf16_faster() -> bool:
    """Whether training in bfloat16 is faster than in float32 on this machine.

    On CPUs that takes AMX, or AVX512-BF16 of AMD. Intel's AVX512-BF16 has no higher rate than
    float32, and with autocast's conversions training runs at half the speed (measured on 3M
    parameters).
    """
    import torch

    if has_gpu():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    cpu = torch.cpu.get_capabilities()
    intel = "intel" in str(cpu.get("cpu_name", "")).lower()
    return bool(cpu.get("amx_bf16") or (cpu.get("avx512_bf16") and not intel))


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def threads_for_each(processes: int, cores: int | None = None) -> int:
    """Threads for each of some processes that divide this machine's cores, at least 1; `cores`
    is an upper limit of those."""
    available = usable_cores() if cores is None else min(cores, usable_cores())
    return max(1, available // processes)
