"""`make lab` opens the first notebook, for this computer and its token only, and quietly."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

import lab as tool

START_SECONDS = 60
FIRST = tool.ROOT / tool.FIRST


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its process, its address and its token."""

    process: psutil.Process
    url: str
    token: str

    def request(self, path: str, token: str | None = None, data: dict | None = None):
        """Status and text of the answer, with the token in the header if one is given."""
        headers = {"Authorization": f"token {token}"} if token else {}
        body = None if data is None else json.dumps(data).encode()
        try:
            with urlopen(Request(self.url + path, body, headers), timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, ""

    def get(self, path: str):
        status, text = self.request(path, self.token)
        assert status == 200
        return json.loads(text)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(server: subprocess.Popen, runtime: Path) -> dict:
    """What the server writes about itself once it answers: it writes this before it listens."""
    info = runtime / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            written = json.loads(info.read_text())
            socket.create_connection(("127.0.0.1", written["port"]), timeout=5).close()
            return written
        except (FileNotFoundError, json.JSONDecodeError, ConnectionRefusedError):
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{(runtime / 'log').read_text()}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start the lab as `make lab` does, and leave nothing of it behind."""
    runtime = tmp_path_factory.mktemp("runtime")
    command = [sys.executable, "tools/lab.py", "--no-browser", f"--port={free_port()}"]
    with open(runtime / "log", "w") as log:
        server = subprocess.Popen(
            command,
            cwd=tool.ROOT,
            env=os.environ | {"JUPYTER_RUNTIME_DIR": str(runtime)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        info = started(server, runtime)
        process = psutil.Process(server.pid)
        yield Lab(process, info["url"].rstrip("/"), info["token"])
        family = [process, *process.children(recursive=True)]
        server.terminate()
        server.wait(timeout=30)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive, "the server left processes behind"
    finally:
        server.kill()
        server.wait()


def test_it_listens_on_this_computer_only(lab: Lab):
    listening = [c.laddr.ip for c in lab.process.net_connections("inet") if c.status == "LISTEN"]
    assert set(listening) == {"127.0.0.1"}


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize("path", ["contents", f"contents/{tool.FIRST}", "kernels", "terminals"])
def test_nothing_is_served_without_the_token(lab: Lab, path: str, token: str | None):
    assert lab.request(f"/api/{path}", token) == (403, "")


def test_the_first_notebook_is_served_with_the_token(lab: Lab):
    assert lab.token
    answer = lab.get(f"/api/contents/{tool.FIRST}")
    cells = json.loads(FIRST.read_text(encoding="utf-8"))["cells"]
    assert [cell["source"] for cell in answer["content"]["cells"]] == ["".join(cell["source"]) for cell in cells]


def test_the_address_opens_the_first_notebook(lab: Lab):
    status, page = lab.request(f"/lab/tree/{tool.FIRST}?token={lab.token}")
    assert status == 200
    config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.S)[1]
    assert json.loads(config)["treePath"] == tool.FIRST
    assert f"--LabApp.default_url=/lab/tree/{tool.FIRST}" in lab.process.cmdline()


def test_no_news_and_no_updates(lab: Lab):
    settings = lab.get("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    defaults = {key: value["default"] for key, value in settings["schema"]["properties"].items()}
    assert defaults["fetchNews"] == "false" and defaults["checkForUpdates"] is False
    assert lab.get("/lab/api/news") == {"news": []}
    assert lab.get("/lab/api/update") == {"notification": None}


def test_notebooks_run_in_this_environment(lab: Lab):
    status, _ = lab.request("/api/kernels", lab.token, data={"name": "python3"})
    assert status == 201
    kernels = [child.cmdline() for child in lab.process.children()]
    assert any(line[0] == sys.executable and "ipykernel_launcher" in line for line in kernels)
