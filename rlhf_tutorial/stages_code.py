"""Which source decides what a stage produces: `stages_build`, and whatever it leads to.

Artefacts are keyed by this source, so changed code never meets an old artefact. What only shows,
asks or reports (figures, widgets, the command line) is not reached from there, and a change of it
leaves all artefacts alone. The doctor is reached, for the words of an error, and left out.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent
ONLY_SAYS = "doctor.py"  # names a likely cause where a run of PPO ends with an error


@functools.cache
def code_hash(root: Path = PACKAGE) -> str:
    """Hash of the source of `stages_build` and of all modules of the package it leads to."""
    digest = hashlib.sha256()
    for path in sorted(reached_from(root / "stages_build.py", root)):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def reached_from(start: Path, root: Path) -> set[Path]:
    """The files at `root` that `start` imports, at whatever remove, and itself; no `ONLY_SAYS`."""
    reached, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path not in reached and path != root / ONLY_SAYS:
            reached.add(path)
            waiting += [file for name in _imports(path) for file in _files_of(name, root)]
    return reached


def _imports(path: Path) -> list[str]:
    """Dotted names that a file imports, inside functions too: `a.b` and `a.b.c` for each name."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _files_of(name: str, root: Path) -> list[Path]:
    """The module of a dotted name and the packages around it, as far as they are ours."""
    first, *parts = name.split(".")
    if first != PACKAGE.name:
        return []
    places = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    files = [place / "__init__.py" for place in places] + [
        place.with_suffix(".py") for place in places
    ]
    return [file for file in files if file.is_file()]
