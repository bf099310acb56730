"""Open JupyterLab on the first notebook. Further options are handed to JupyterLab.

    python tools/lab.py
    python tools/lab.py --no-browser --port=9000

It listens on this computer only and asks for its token, whatever a personal Jupyter configuration
says: settings, workspaces and configuration are kept inside the environment, and nothing in a
person's own Jupyter folders is read or changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from helpers.lessons import PATH

ROOT = Path(__file__).resolve().parent.parent
FIRST = f"notebooks/{PATH[0].file}"
STATE = Path(sys.prefix) / "jupyter"

VARIABLES = {
    "JUPYTER_CONFIG_DIR": str(STATE / "config"),
    "JUPYTER_DATA_DIR": str(STATE / "data"),
    "JUPYTER_CONFIG_PATH": str(ROOT / "tools" / "jupyter"),  # no question whether one wants news
    "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, before any other "python3"
}

OPTIONS = [
    f"--ServerApp.root_dir={ROOT}",  # links from a notebook to the rest of the project work
    "--ServerApp.ip=127.0.0.1",
    f"--LabApp.default_url=/lab/tree/{FIRST}",
    "--LabApp.news_url=None",  # nothing is fetched, whatever is clicked
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",  # its panel lists what is installed, and asks no index of packages
    "--MappingKernelManager.transport_encryption=auto",  # other users of this computer hear nothing
    "--LanguageServerManager.autodetect=False",  # no search for language servers at each start
]


def command(arguments: list[str]) -> list[str]:
    """The command that starts JupyterLab; later options win over ours."""
    options = OPTIONS.copy()
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # In a container one is usually root, where Jupyter refuses to start without this.
        options.append("--allow-root")
    return [sys.executable, "-m", "jupyterlab", *options, *arguments]


def main() -> None:
    if not (ROOT / FIRST).exists():
        sys.exit(f"{ROOT / FIRST} is missing: is this a complete copy of the project?")
    arguments, environment = command(sys.argv[1:]), os.environ | VARIABLES
    if os.name == "nt":  # where exec returns to the console at once
        sys.exit(subprocess.call(arguments, env=environment))
    os.execve(arguments[0], arguments, environment)


if __name__ == "__main__":
    main()
