"""Jupyter servers for the browser tests: on loopback, with a token, in folders of their own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START = 120  # seconds a server may take to answer, on a busy machine
# A workspace for each notebook, or JupyterLab opens those of earlier tests beside it.
PATHS = {
    "jupyterlab": "lab/workspaces/{name}/tree/{name}.ipynb",
    "notebook": "notebooks/{name}.ipynb",
}


class JupyterServer:
    """JupyterLab or Notebook 7 in a process of its own; `folder` holds its notebooks."""

    def __init__(self, application: str, home: Path) -> None:
        self.application = application
        self.folder = home / "work"
        self.folder.mkdir(parents=True)
        self._token = secrets.token_hex(16)
        self._port = _free_port()
        config = home / "config"
        _write_json(
            config / "labconfig" / "page_config.json",
            # Asks whether to fetch news, in a window over the notebook.
            {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}},
        )
        environment = os.environ | {
            "JUPYTER_TOKEN": self._token,
            "JUPYTER_CONFIG_DIR": str(config),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "IPYTHONDIR": str(home / "ipython"),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", application, "--no-browser", "--allow-root"]
        command += ["--ip=127.0.0.1", f"--port={self._port}", "--ServerApp.port_retries=0"]
        command += [f"--ServerApp.root_dir={self.folder}"]
        self.log = home / "server.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def address(self, name: str) -> str:
        """Where the notebook NAME.ipynb of `folder` opens."""
        return self._url(PATHS[self.application].format(name=name)) + f"?token={self._token}"

    def set_theme(self, name: str) -> None:
        """Choose a theme, such as "JupyterLab Dark"; it shows when a page is loaded."""
        raw = json.dumps({"raw": json.dumps({"theme": name})}).encode()
        self._ask("lab/api/settings/@jupyterlab/apputils-extension:themes", raw)

    def stop(self) -> None:
        """End the server and its kernels, and wait until they are gone."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self._ask("api/status")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)  # between two questions; nothing waits longer than it must
        raise RuntimeError(f"{self.application} does not answer:\n{self.log.read_text()[-2000:]}")

    def _ask(self, path: str, put: bytes | None = None) -> None:
        request = urllib.request.Request(
            self._url(path),
            data=put,
            method="PUT" if put else "GET",
            headers={"Authorization": f"token {self._token}", "Content-Type": "application/json"},
        )
        # No proxy: the server is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(request, timeout=10).close()

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}/{path}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
