"""`make lab` opens the first notebook, for this computer and its token only, and quietly."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

import pytest

import lab as tool
from serving import Lab, running

FIRST = tool.ROOT / tool.FIRST


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab as `make lab` starts it, in this folder."""
    with running(tool.ROOT, tmp_path_factory.mktemp("runtime")) as found:
        yield found


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
