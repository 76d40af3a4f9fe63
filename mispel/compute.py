"""One Python thread a scanner, each computing on one core.

Only the loss couples the scanners, so their encoders run side by side, and nothing is computed in
another order than one after the other: on one processor the results are bitwise the same for any number of threads.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

from core.errors import InputError

Result = TypeVar("Result")
ForEach = Callable[[Callable[[int], Result], int], list[Result]]


@contextlib.contextmanager
def working_threads(threads: int) -> Iterator[ForEach]:
    """Gives a function `for_each(work, count)`: the list of work(0) to work(count - 1), on `threads` threads.

    Inside, torch computes with one thread per call and refuses operations that aren't deterministic.
    """
    threads_before = torch.get_num_threads()
    deterministic_before = torch.get_deterministic_debug_mode()
    deterministic: Any = torch.utils.deterministic  # sets its attributes as it is loaded: no type checker knows them
    filling_before = deterministic.fill_uninitialized_memory
    torch.set_num_threads(1)
    # `use_deterministic_algorithms` does the same, and loads torch's compiler for it: 1.2 s for nothing in each job
    torch.set_deterministic_debug_mode("warn" if torch.cuda.is_available() else "error")
    # nothing here reads memory that it has not written, and filling it first takes time
    deterministic.fill_uninitialized_memory = False
    try:
        if threads == 1:
            yield lambda work, count: [work(number) for number in range(count)]
        else:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield lambda work, count: list(pool.map(work, range(count)))
    finally:
        deterministic.fill_uninitialized_memory = filling_before
        torch.set_deterministic_debug_mode(deterministic_before)
        torch.set_num_threads(threads_before)


def processor_computes_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 numbers itself, by its flags (never by a timing)."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def choose_device(device: str) -> torch.device:
    """The device that "auto", "cpu" or "cuda" means here.

    Raises `InputError` when a GPU is asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda, but torch sees no GPU here; use --device cpu or auto")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # cuBLAS multiplies matrices in the same order every time only where this is set before it is first used
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.device("cuda")


def here(device: torch.device, processes: int = 1) -> str:
    """What computes: a device, the version of torch and the number of processes, which give a training's bytes."""
    together = f" in {processes} processes" if processes > 1 else ""
    return f"{device.type} with torch {torch.__version__}{together}"


def on_gpu(device: torch.device) -> bool:
    """Whether `device` is a GPU: slices and embeddings are kept there, so that no step waits for the host."""
    return device.type == "cuda"


def choose_precision(precision: str, device: torch.device) -> str:
    """The precision of the encoders that "auto", "float32" or "bfloat16" means on `device`."""
    if precision != "auto":
        return precision
    fast = torch.cuda.is_bf16_supported() if on_gpu(device) else processor_computes_bfloat16()
    return "bfloat16" if fast else "float32"
