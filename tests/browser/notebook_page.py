"""A notebook in the browser, driven as its reader would: keys, mouse, and what is on the screen."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat

from rlhf_tutorial.preferences import Ranking, load_rankings
from tests.browser.servers import JupyterServer

PATIENCE = 60_000  # milliseconds until a condition counts as never met, on a busy machine
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
RANK = """\
from rlhf_tutorial import widgets
from rlhf_tutorial.ranking_items import load_items

widgets.rank_items(load_items("{name}.items.jsonl"), "{name}.jsonl", "ann", {options})
"""
# Measures, for each Enter, until the frame with the next turn has been painted.
STOPWATCH = """root => {
    window.milliseconds = [];
    let pressed = null;
    root.addEventListener("keydown", event => {
        if (event.key === "Enter") pressed = performance.now();
    }, true);
    new MutationObserver(() => {
        const start = pressed;  // at once: the next Enter may come before this turn is painted
        pressed = null;
        if (start === null) return;
        requestAnimationFrame(() => setTimeout(() => {
            window.milliseconds.push(performance.now() - start);
        }));
    }).observe(root, {attributeFilter: ["data-turn"]});
}"""


def write_notebook(
    folder: Path, name: str, items: list[dict], *, before: str = "", options: str = "repeat=0.0"
) -> None:
    """A notebook of two cells, the first of which ranks the items into `NAME.jsonl`."""
    lines = "".join(json.dumps(item) + "\n" for item in items)
    (folder / f"{name}.items.jsonl").write_text(lines, encoding="utf-8")
    cells = [
        nbformat.v4.new_code_cell(before + RANK.format(name=name, options=options)),
        nbformat.v4.new_code_cell("1 + 1"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, folder / f"{name}.ipynb")


class NotebookPage:
    """One open notebook. `widget` is the ranking widget, `page` the page of Playwright."""

    def __init__(self, server: JupyterServer, page, name: str) -> None:
        self.page = page
        self.file = server.folder / f"{name}.jsonl"
        self.notebook = server.folder / f"{name}.ipynb"
        self._address = server.address(name)
        self.widget = page.locator(".rlhf-ranking")
        self.cards = self.widget.locator(".card")
        self.hosts: set[str] = set()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def open(self) -> None:
        self._expect_kernel(lambda: self.page.goto(self._address))

    def reload(self) -> None:
        """Load the page anew; the kernel goes on, and the widget comes back by itself."""
        self._expect_kernel(self.page.reload)
        self.widget.locator(".foot button").first.wait_for()

    def wait_until_idle(self) -> None:
        """Until the kernel has nothing to do."""
        self.page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()

    def _expect_kernel(self, act) -> None:
        """Do what connects to a kernel, and wait until that has said that it is idle.

        The page calls it idle already before it is there, and then loses what it is asked to run.
        """
        with self.page.expect_websocket(lambda socket: "/channels" in socket.url) as kernel:
            act()
        kernel.value.wait_for_event("framereceived", lambda frame: _says_idle(frame))
        self.wait_until_idle()

    def run_first_cell(self, expect: str = ".foot button") -> None:
        """Run it, and wait until the widget shows what is expected (a selector)."""
        self.page.locator(".jp-Cell .cm-content").first.click()
        self.page.keyboard.press("Control+Enter")
        self.widget.locator(expect).first.wait_for()
        self.wait_until_idle()

    def save(self) -> None:
        """Save the notebook, and wait until the widget is in the file."""
        self.page.locator(".jp-Cell .cm-content").first.click()
        self.page.keyboard.press("Control+s")
        self.until(lambda: "widget-view+json" in self.notebook.read_text(encoding="utf-8"))

    def restart_kernel(self) -> None:
        """Restart with the keys 0 0 and the question that Jupyter asks."""
        self.page.locator(".jp-Cell .cm-content").first.click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("0")
        self.page.keyboard.press("0")
        accept = self.page.locator(".jp-Dialog button.jp-mod-accept")
        self._expect_kernel(accept.click)

    def button(self, name: str):
        """A button of the widget, by the key that does the same."""
        return self.widget.locator(f'button[data-name="{name}"]')

    def focus(self) -> None:
        self.widget.locator(".prompt .words").last.click()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def turn(self) -> int:
        return int(self.widget.get_attribute("data-turn"))

    def next_turn(self, act) -> None:
        """Do something, and wait until another item, or the end, is on the screen."""
        before = self.widget.get_attribute("data-turn")
        act()
        self.page.wait_for_function(
            "before => document.querySelector('.rlhf-ranking').dataset.turn !== before", arg=before
        )

    def answered(self, act) -> None:
        """Do something that Python answers without another item, and wait for the answer."""
        before = self.widget.get_attribute("data-handled")
        act()
        self.page.wait_for_function(
            "before => document.querySelector('.rlhf-ranking').dataset.handled !== before",
            arg=before,
        )

    def start_stopwatch(self) -> None:
        self.widget.evaluate(STOPWATCH)

    def milliseconds(self, count: int) -> list[float]:
        """From key to the next item on the screen, for the items since the stopwatch started."""
        self.page.wait_for_function("n => window.milliseconds.length >= n", arg=count)
        return self.page.evaluate("window.milliseconds")

    def until(self, condition) -> None:
        """Wait for something outside the page, a file for example; looks at each frame."""
        for _ in range(3600):
            if condition():
                return
            self.page.evaluate("new Promise(requestAnimationFrame)")
        raise AssertionError("what was waited for has not happened")

    def rankings(self) -> list[Ranking]:
        return load_rankings(self.file)


def _says_idle(frame: bytes | str) -> bool:
    return b'"idle"' in (frame.encode() if isinstance(frame, str) else frame)
