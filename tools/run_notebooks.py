"""Execute notebooks from top to bottom and save them, as they are committed.

    python tools/run_notebooks.py                           all, in order
    python tools/run_notebooks.py notebooks/03_*.ipynb      some

A notebook is saved only when every cell has run, and in one step: an error or an interruption
leaves the file as it was, and so does a change that somebody makes to it while it runs. What is saved
holds no timings, no widget state and no versions, so a second execution changes nothing that a reader
would not see.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets.config import Config

from helpers.disk import replacing

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
CELL_TIMEOUT = 600  # seconds

KERNEL_ENVIRONMENT = {
    "HELPERS_PROGRESS": "milestones",  # a few rounded lines, no live bar
    "HELPERS_RECORD": "1",  # only here may notebooks write their rows into the board
    "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel before any other "python3"
}

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class NotebookError(Exception):
    """One sentence that says which notebook failed, where and why."""


@dataclass(frozen=True)
class Cost:
    """What one execution took."""

    name: str
    seconds: float
    peak_bytes: int
    file_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.name:<40} {self.seconds:7.1f} s "
            f"{self.peak_bytes / 2**20:7.0f} MiB {self.file_bytes / 1e6:7.2f} MB"
        )


def peak_memory(pid: int) -> int:
    """Most memory, in bytes, that a process has held so far; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    except FileNotFoundError:
        pass
    try:  # no /proc: what it holds now, asked after every cell, is close
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}.") from error


def parse(data: bytes, path: Path) -> NotebookNode:
    try:
        return nbformat.reads(data.decode("utf-8"), as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, KeyError, UnicodeDecodeError) as error:
        raise NotebookError(f"{path} is not a notebook: {error}.") from error


def execute(notebook: NotebookNode, path: Path) -> int:
    """Run every cell in a fresh kernel; return the kernel's peak memory in bytes."""
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        record_timing=False,
        store_widget_state=False,
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),
        resources={"metadata": {"path": str(path.parent)}},
    )
    peak, count = 0, 0
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            clear(cell)
            if not cell.source.strip():
                continue
            count += 1
            try:
                client.execute_cell(cell, index, execution_count=count)
            except CellExecutionError as error:
                reason = f"{error.ename}: {error.evalue}".strip(": \n").split("\n")[0]
                print(without_colours(error.traceback), file=sys.stderr)
            except CellTimeoutError:
                reason = f"no end after {CELL_TIMEOUT} seconds"
            except DeadKernelError:
                reason = "the kernel died, for want of memory perhaps"
            else:
                peak = max(peak, peak_memory(client.km.provisioner.pid))
                continue
            raise NotebookError(f"{path}: code cell {count} failed ({reason}); nothing was saved.")
    return peak


def clear(cell: NotebookNode) -> None:
    cell.outputs, cell.execution_count = [], None


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def tidy(notebook: NotebookNode) -> None:
    """Leave only what a reader sees, so that two executions differ only where results do."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat_minor = max(notebook.nbformat_minor, 5)
    for index, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if not cell.get("id"):
            cell.id = hashlib.sha256(f"{index} {cell.source}".encode()).hexdigest()[:8]
        if cell.cell_type == "code":
            cell.outputs = join_streams(cell.outputs)


def join_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: how they were cut is an accident of timing."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def save(notebook: NotebookNode, path: Path) -> None:
    """Replace the file in one step: it holds the old notebook or the new one, never half of it."""
    nbformat.validate(notebook)
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
        shutil.copymode(path, temporary)


def run(path: Path) -> Cost:
    """Execute one notebook and save it, unless somebody has changed it meanwhile."""
    before = read(path)
    notebook = parse(before, path)
    start = time.perf_counter()
    peak = execute(notebook, path)
    seconds = time.perf_counter() - start
    tidy(notebook)
    if not path.is_file() or read(path) != before:
        raise NotebookError(f"{path} was changed while it ran, and is left as it is; run it again.")
    save(notebook, path)
    return Cost(path.name, seconds, peak, path.stat().st_size)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all, in order")
    paths = sorted(parser.parse_args().notebooks or NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        print(f"There are no notebooks in {NOTEBOOKS}.", file=sys.stderr)
        return 1
    os.environ.update(KERNEL_ENVIRONMENT)

    costs = []
    for path in paths:
        print(f"{path.name} …", flush=True)
        try:
            costs.append(run(path))
        except NotebookError as error:
            print(error, file=sys.stderr)
            return 1
        print(costs[-1], flush=True)
    print(f"\n{'notebook':<40} {'time':>9} {'peak':>11} {'size':>10}", *costs, sep="\n")
    print(f"{'together':<40} {sum(cost.seconds for cost in costs):7.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
