"""What stages need of the disk: folders of unfinished builds, and a full disk told in one line.

A build happens in a hidden folder beside its target, named after the process that builds.
Simplified: there is no lock. Two processes that want the same artefact both build it, and the
first to finish wins; that wastes time, but neither can wait for a process that died.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

PARTIAL = ".partial-"  # then the number of the process that builds
CLOCK_ERROR = 60.0  # seconds by which the times of a process and of a file may disagree
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def partial_of(target: Path) -> Path:
    """The folder in which this process builds a target."""
    return target.with_name(f".{target.name}{PARTIAL}{os.getpid()}")


def clear_partial_folders(folder: Path) -> None:
    """Removes what killed processes left half-built; that of a living process stays."""
    for path in folder.glob(f".*{PARTIAL}*"):
        number = path.name.rpartition(PARTIAL)[2]
        if number.isdecimal() and not _is_builder(int(number), path):
            shutil.rmtree(path, ignore_errors=True)


def _is_builder(process: int, path: Path) -> bool:
    """Whether another process of that number is alive and older than what it would have built."""
    import psutil

    if process == os.getpid():
        return False
    try:
        born = psutil.Process(process).create_time()
        return born <= path.stat().st_mtime + CLOCK_ERROR
    except (psutil.NoSuchProcess, OSError):
        return False
    except psutil.AccessDenied:
        return True


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, or one behind it, is that of a full disk.

    The libraries that write weights and tokenizers raise errors of their own, which hold the
    operating system's only as text.
    """
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return True
    if any(os.strerror(code) in str(error) for code in FULL_DISK):
        return True
    behind = error.__cause__ or error.__context__
    return behind is not None and is_full_disk(behind)


def full_disk(what: str, path: Path) -> OSError:
    """The error that says what a full disk has cost and what to do."""
    advice = "all finished stages are; free some space and start again"
    return OSError(errno.ENOSPC, f"the disk is full: {what}, {advice}", str(path))
