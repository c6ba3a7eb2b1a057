"""What a trial finds around it: luck that is its own, threads that fit its share of the cores, the GPUs that were given to it.

All of it is set after the fork and before anything of the trainable runs. Libraries that were loaded before the fork have read
the environment already; those are told by their own calls.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import sys
from collections.abc import Callable

__all__ = ["load_generators", "seed_generators", "set_threads", "show_gpus", "start_single_threaded"]

_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)
# Part of a library's file name, and the calls by which builds of it set their number of threads.
_SETTERS = {
    "openblas": (
        "scipy_openblas_set_num_threads64_",
        "scipy_openblas_set_num_threads",
        "openblas_set_num_threads64_",
        "openblas_set_num_threads",
    ),
    "libgomp": ("omp_set_num_threads",),
    "libomp": ("omp_set_num_threads",),
    "libiomp": ("omp_set_num_threads",),
    "libmkl_rt": ("MKL_Set_Num_Threads",),
    "libblis": ("bli_thread_set_num_threads",),
}


def start_single_threaded() -> None:
    """In a root zygote, before it imports: its libraries start no threads of their own, so there are none to fork over."""
    for name in _VARIABLES:
        os.environ[name] = "1"


def set_threads(cpu: float) -> None:
    """Let the libraries of this process use as many threads as it has cores, and at most as many as there are. In a fork of a
    zygote they use one already."""
    threads = max(1, min(int(cpu), len(os.sched_getaffinity(0))))
    if threads == 1:
        return
    for name in _VARIABLES:
        os.environ[name] = str(threads)
    for path in _loaded_libraries():
        file = os.path.basename(path)
        for part, setters in _SETTERS.items():
            if part in file:
                _call_first(path, setters, threads)


def _loaded_libraries() -> set[str]:
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        return {fields[5].rstrip("\n") for line in maps if len(fields := line.split(maxsplit=5)) == 6 and ".so" in fields[5]}


def _call_first(path: str, names: tuple[str, ...], threads: int) -> None:
    with contextlib.suppress(OSError):
        library = ctypes.CDLL(path)
        for name in names:
            setter = getattr(library, name, None)
            if setter is not None:
                setter(ctypes.c_int(threads))
                return


def show_gpus(gpus: str | None) -> None:
    """Let CUDA and ROCm see these GPUs only: "0,1", or "-1" for none of them. None leaves it as it is."""
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
        os.environ["HIP_VISIBLE_DEVICES"] = gpus


def seed_generators(seed: int) -> None:
    """Seed the generators that are global in the libraries that are loaded: each fork would find them as they were."""
    random.seed(seed)
    numpy_seed, tensorflow_seed = _global_seeds()
    if numpy_seed is not None:
        numpy_seed(seed % 2**32)
    if tensorflow_seed is not None:
        # Sets a number, and wakes nothing: the context is initialised by the first operation.
        tensorflow_seed(seed)


def load_generators() -> None:
    """In a zygote: both libraries import their generators when they are first asked for, which each fork would do again."""
    _global_seeds()


def _global_seeds() -> tuple[Callable[[int], None] | None, Callable[[int], None] | None]:
    numpy, tensorflow = sys.modules.get("numpy"), sys.modules.get("tensorflow")
    return (
        None if numpy is None else getattr(getattr(numpy, "random", None), "seed", None),
        None if tensorflow is None else getattr(getattr(tensorflow, "random", None), "set_seed", None),
    )
