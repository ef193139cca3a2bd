"""What a report says of the machine: versions, cores and threads, the most memory held."""

from __future__ import annotations

import os
import platform
import sys

PACKAGES = ("torch", "transformers", "datasets", "trl", "accelerate", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python, of this project and of the packages that decide the numbers."""
    from importlib.metadata import PackageNotFoundError, version

    from rlhf_tutorial import __version__

    found = {"python": platform.python_version(), "rlhf_tutorial": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def machine() -> dict[str, int]:
    """Cores that this process may use, and threads that torch uses."""
    import torch

    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity to ask for
        cores = os.cpu_count() or 1
    return {"cores": cores, "threads": torch.get_num_threads()}


def peak_rss_mb() -> float:
    """Most memory that this process has held so far, in MB (10^6 bytes)."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
