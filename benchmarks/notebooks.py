"""Runs the notebooks of the course, top to bottom, and keeps their outputs.

    python benchmarks/notebooks.py                      all, in place; writes notebooks/README.md
    python benchmarks/notebooks.py --into runs/quick-0/notebooks     copies, the originals stay
    python benchmarks/notebooks.py 04 05                only some

Stops at the first notebook that fails. Seconds and memory are those of this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rlhf_tutorial.progress import stage_bar  # noqa: E402
from rlhf_tutorial.reporting import fill_sections, markdown_table  # noqa: E402
from rlhf_tutorial.reporting_machine import machine  # noqa: E402

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CELL_SECONDS = 1800  # the first notebook may have to build everything
LARGEST_MB = 1.5  # of a file with its outputs: it must open in a web viewer


class Memory(threading.Thread):
    """Watches the most memory that the children of this process hold together, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.done = 0.0, threading.Event()

    def run(self) -> None:
        import psutil

        while not self.done.wait(0.5):
            total = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.Error:  # it has just ended
                    continue
            self.most = max(self.most, total / 1e6)


def execute(path: Path, target: Path) -> dict[str, float]:
    """Run a notebook in its own kernel and write it, with outputs, to `target`.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    memory = Memory()
    memory.start()
    started = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
    )
    try:
        client.execute()
    finally:
        memory.done.set()
        # Where the checkout lies is this machine's affair: paths are kept from its top on.
        top = json.dumps(f"{NOTEBOOKS.parent}{os.sep}")[1:-1]
        target.write_text(nbformat.writes(notebook).replace(top, "") + "\n", encoding="utf-8")
    return {"seconds": time.perf_counter() - started, "mb": memory.most}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", help="such as 04 05; all if none is given")
    parser.add_argument("--into", type=Path, help="folder for executed copies")
    options = parser.parse_args()
    found = [
        path
        for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
        if not options.numbers or path.name[:2] in options.numbers
    ]
    if not found:
        parser.error(f"no notebook of that number in {NOTEBOOKS}")
    if options.into:
        options.into.mkdir(parents=True, exist_ok=True)
    if home := os.environ.get("RLHF_TUTORIAL_HOME"):  # kernels start elsewhere, in notebooks/
        os.environ["RLHF_TUTORIAL_HOME"] = str(Path(home).resolve())
    rows = []
    with stage_bar("notebooks", unit="notebook") as bar:
        for done, path in enumerate(found, start=1):
            target = (options.into or NOTEBOOKS) / path.name
            try:
                measured = execute(path, target)
            except CellExecutionError as error:
                print(f"{path.name} failed:\n{error}", file=sys.stderr)
                return 1
            size = target.stat().st_size / 1e6
            rows.append(
                [
                    f"[{path.stem}]({path.name})",
                    f"{measured['seconds'] / 60:.1f}",
                    f"{measured['mb']:.0f}",
                    f"{size:.2f}",
                ]
            )
            print(f"{path.name}: {measured['seconds']:.0f} s, {measured['mb']:.0f} MB", flush=True)
            if size > LARGEST_MB:
                print(f"{path.name} has {size:.1f} MB, over {LARGEST_MB}", file=sys.stderr)
                return 1
            bar(done, len(found))
    readme = NOTEBOOKS / "README.md"
    if not options.into and not options.numbers and readme.is_file():
        table = markdown_table(["notebook", "minutes", "memory (MB)", "file (MB)"], rows)
        words = f"Measured on {machine()['cores']} cores, from `make notebooks`:\n\n{table}"
        fill_sections(readme, {"measured": words})
    return 0


if __name__ == "__main__":
    sys.exit(main())
