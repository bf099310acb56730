"""JupyterLab as `make lab` starts it, for tests, and one who sits before it in a browser.

Whatever happens to the test, no process is left.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

SECONDS, REDRAWN = 300, 90  # end a hang of a lesson, and of a picture, and judge no slow computer


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its process, its address, its token, and the file that its start shows to a browser."""

    process: psutil.Process
    url: str
    token: str
    opens: Path

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
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            written = json.loads(info.read_text())
            socket.create_connection(("127.0.0.1", written["port"]), timeout=5).close()
            return written
        except (FileNotFoundError, json.JSONDecodeError, ConnectionRefusedError):
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{(runtime / 'log').read_text()}")


@contextmanager
def running(root: Path, runtime: Path, *options: str, **variables: str) -> Iterator[Lab]:
    """The lab of the project in ``root``, as `make lab` starts it, but that no window opens; ended at the end."""
    command = [sys.executable, "tools/lab.py", "--no-browser", f"--port={free_port()}", *options]
    environment = os.environ | {"JUPYTER_RUNTIME_DIR": str(runtime)} | variables
    with open(runtime / "log", "w") as log:
        server = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT)
    process = psutil.Process(server.pid)
    try:
        info = started(server, runtime)
        yield Lab(process, info["url"].rstrip("/"), info["token"], runtime / f"jpserver-{server.pid}-open.html")
    finally:
        family = [process, *process.children(recursive=True)]  # the kernels, too
        server.terminate()
        _, alive = psutil.wait_procs(family, timeout=60)
        for left in alive:
            left.kill()
        server.wait()
    assert not alive, "the server left processes behind"


def until(found: Callable[[], Any], what: str) -> Any:
    """What ``found`` returns once it is true."""
    end = time.monotonic() + REDRAWN
    while not (value := found()):
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.1)
    return value


class Reader:
    """One who sits before JupyterLab: what is seen, what is asked of a network, what the browser complains of."""

    def __init__(self, browser, lab, folder, watched):
        self.folder, self.watched = folder, watched
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.context.set_default_timeout(1000 * SECONDS)
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.context.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(lab.opens.as_uri())  # the file that `make lab` hands to the browser
        self.ready()

    def js(self, expression: str, given: Any = None) -> Any:
        return self.page.evaluate(expression, given)

    def ready(self) -> None:
        """Wait until the notebook in front is there and its kernel is idle."""
        self.page.wait_for_function("""() => {
            const front = window.jupyterapp?.shell.currentWidget;
            return front?.context?.isReady && front.sessionContext.session?.kernel?.status === "idle"; }""")

    def do(self, command: str, given: dict | None = None) -> None:
        """A command of JupyterLab, to its end."""
        self.js("""([command, given]) => { window.done = null; jupyterapp.commands.execute(command, given).then(
            () => { window.done = "done"; }, (error) => { window.done = String(error); }); }""", [command, given or {}])
        self.page.wait_for_function("window.done")
        assert self.js("window.done") == "done"

    def cells(self) -> list[dict]:
        """The cells of the notebook in front, from its model, as a file would have them."""
        return self.js("[...jupyterapp.shell.currentWidget.content.model.cells].map((cell) => cell.toJSON())")

    def find(self, part: str) -> int:
        """The place of the one code cell that contains this."""
        [place] = [i for i, cell in enumerate(self.cells()) if cell["cell_type"] == "code" and part in cell["source"]]
        return place

    def answer(self, place: int, source: str) -> str:
        """Write a cell anew, and run it: what it prints."""
        self.js("""([place, source]) => { const notebook = jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = place;
            notebook.model.cells.get(place).sharedModel.setSource(source); }""", [place, source])
        self.do("notebook:run-cell")
        return printed(self.cells()[place])

    def without_errors(self) -> list[dict]:
        """The code cells, each of them run, in order and without an error; no widget says that it cannot be shown."""
        code = [cell for cell in self.cells() if cell["cell_type"] == "code"]
        assert [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"] == []
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
        for complaint in ("Error displaying widget", "Error creating widget", "Loading widget", "model not found"):
            assert self.page.get_by_text(complaint).count() == 0
        return code


def printed(cell: dict) -> str:
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])
