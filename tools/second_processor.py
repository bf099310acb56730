"""Run a command as if on another, older processor, to see whether its numbers depend on ours.

    python tools/second_processor.py pytest --nbval notebooks

NumPy, its OpenBLAS and PyTorch each carry several versions of their inner loops and choose by the
processor they find. Other loops add in another order, so they round differently. A result that is
printed with honest precision survives that.
"""

from __future__ import annotations

import os
import platform
import sys

import numpy as np

OPENBLAS_CORES = {"x86_64": "Nehalem", "AMD64": "Nehalem", "aarch64": "ARMV8", "arm64": "ARMV8"}


def environment() -> dict[str, str]:
    """The variables that make the libraries choose their plainest loops."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return {
        "ATEN_CPU_CAPABILITY": "default",  # PyTorch's own loops
        "ONEDNN_MAX_CPU_ISA": "SSE41",  # its convolutions and matrix products in oneDNN
        "MKL_CBWR": "COMPATIBLE",  # and in MKL
        "OMP_NUM_THREADS": "1",  # sums are cut into as many parts as there are threads
        # NumPy's matrix products. A name that this machine's OpenBLAS lacks is ignored.
        "OPENBLAS_CORETYPE": OPENBLAS_CORES.get(platform.machine(), ""),
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),  # its sums, exp and log: all it found here
    }


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("Name the command to run, as in: second_processor.py pytest tests")
    variables = environment()
    print(*(f"{name}='{value}'" for name, value in variables.items()), sep="\n", flush=True)
    os.execvpe(sys.argv[1], sys.argv[1:], os.environ | variables)


if __name__ == "__main__":
    main()
