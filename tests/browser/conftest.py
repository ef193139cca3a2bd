"""A browser and two Jupyter servers, started when a test asks for them and stopped afterwards.

They live as long as one file of tests: Playwright keeps an event loop in this thread, which tests
of other files need not meet.
"""

from __future__ import annotations

import importlib.util
import shutil

import pytest

from tests.browser.notebook_page import NotebookPage, write_notebook
from tests.browser.servers import JupyterServer

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, driven by Playwright; skips where one of them is missing."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: pip install -r requirements.txt")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium: on Debian, apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """A running JupyterLab."""
    server = JupyterServer("jupyterlab", tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def classic(browser, tmp_path_factory):
    """A running Notebook 7."""
    server = JupyterServer("notebook", tmp_path_factory.mktemp("classic"))
    yield server
    server.stop()


@pytest.fixture
def open_notebook(browser, request):
    """Call it with a server, items and further cells: a notebook that ranks them, open and run."""
    contexts = []

    def open_one(server: JupyterServer, items: list[dict], **about) -> NotebookPage:
        name = request.node.name.split("[")[0]
        write_notebook(server.folder, name, items, **about)
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 1000}))
        page = NotebookPage(server, contexts[-1].new_page(), name)
        page.open()
        page.run_first_cell()
        return page

    yield open_one
    for context in contexts:
        context.close()
