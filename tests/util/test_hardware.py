"""What the machine computes with, asked of torch."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from genprm.util import hardware

XEON, EPYC = {"cpu_name": "Intel Xeon"}, {"cpu_name": "AMD EPYC"}
AVX, AMX = {"avx512_bf16": True}, {"amx_bf16": True}


@pytest.mark.parametrize(
    ("cpu", "has", "faster"),
    [
        ({}, False, False),
        (XEON, False, False),
        (XEON | AVX, True, False),
        (EPYC | AVX, True, True),
        (XEON | AVX | AMX, True, True),
    ],
)
def test_bfloat16_on_cpus(
    cpu: dict[str, object], has: bool, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch, "cuda", SimpleNamespace(is_available=lambda: False))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, **cpu})
    assert hardware.cpu_has_bf16() is has  # what an engine needs
    assert hardware.is_bf16_faster() is faster  # what training gains from


def test_a_gpu_decides_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    gpu = SimpleNamespace(
        is_available=lambda: True, is_bf16_supported=lambda including_emulation: False
    )
    monkeypatch.setattr(torch, "cuda", gpu)
    assert hardware.has_gpu() and not hardware.is_bf16_faster()


def test_processes_divide_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    assert hardware.threads_for_each(1) == cores
    assert hardware.threads_for_each(10**6) == 1
    assert hardware.threads_for_each(1, cores=1) == 1
    assert hardware.threads_for_each(1, cores=10**6) == cores
