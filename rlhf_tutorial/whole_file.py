"""Files that are written whole or not at all.

The text goes to a file beside the target, which takes the target's place when it is on the disk:
a full disk or a kill never leaves half a file under the right name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, texts: Iterable[str], *, mode: int = 0o666) -> None:
    """Write texts one after the other as UTF-8; a file that was there stays until all is written.

    `mode` are the rights of a new file, less what the umask takes.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    unfinished.unlink(missing_ok=True)  # of a killed process that had the same number
    try:
        file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(file, "w", encoding="utf-8", newline="\n") as stream:
            for text in texts:
                stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
