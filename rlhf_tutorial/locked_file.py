"""The few operating-system calls that the preference store stands on: open, lock, read.

`flock` is advisory and belongs to the open file, so it goes away by itself when a process dies.
On Windows `msvcrt` locks a byte far behind the records instead (untested).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from rlhf_tutorial.preference_rules import PreferenceError

OWNER_ONLY = 0o600  # what people think of replies is nobody else's to read


class StoreError(PreferenceError):
    """A record could not be saved, or the file not opened; the message says what to do."""


class StoreLockedError(StoreError):
    """The file is open in another store, in this process or in another."""


def open_to_append(path: Path) -> int:
    """Open a file to read and append; a new one is readable by its owner only. A file descriptor.

    Nothing of a file that is there already is changed. Raises `StoreError` when it cannot be
    opened for writing.
    """
    flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    is_new = not path.exists()
    try:
        file = os.open(path, flags | os.O_CREAT, OWNER_ONLY)
    except OSError as error:
        raise StoreError(f"{path} cannot be opened for writing: {reason(error)}") from error
    try:
        if is_new and os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # or a power cut may forget that the file exists
            finally:
                os.close(folder)
    except OSError as error:
        os.close(file)
        raise StoreError(f"{path} cannot be prepared: {reason(error)}") from error
    return file


def make_owner_only(path: Path) -> None:
    """Let nobody but its owner read a file, however it was made.

    Raises `StoreError` when the system does not allow it.
    """
    try:
        os.chmod(path, OWNER_ONLY)
    except OSError as error:
        raise StoreError(f"{path} cannot be prepared: {reason(error)}") from error


def read_all(file: int) -> bytes:
    """All bytes of an open file, from its beginning."""
    os.lseek(file, 0, os.SEEK_SET)
    parts = []
    while part := os.read(file, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def lock(file: int, path: Path) -> None:
    """Take the advisory lock of an open file, or raise `StoreLockedError` at once."""
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:  # untested: Windows locks bytes, so one far beyond any record is taken
            import msvcrt

            os.lseek(file, 1 << 30, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK):
            raise StoreError(f"{path} cannot be locked: {reason(error)}") from error
        raise StoreLockedError(
            f"{path} is already open in another notebook or program; "
            "close that one, or choose another file"
        ) from None


def reason(error: OSError) -> str:
    """What the operating system says, without the number and the path."""
    return error.strerror or str(error)
