"""Write the pages that play into build/pages: `make pages`.

    python tools/pages.py               all
    python tools/pages.py typeface      some, by name
"""

import sys

import helpers
from helpers import disk
from helpers.pages import shipped as pages


def main() -> int:
    helpers.setup(seed=0)
    unknown = set(sys.argv[1:]) - set(pages.PAGES)
    if unknown:
        print(f"There is no page {', '.join(sorted(unknown))}; there are {', '.join(pages.PAGES)}.", file=sys.stderr)
        return 2
    try:
        files = pages.write(disk.ROOT / "build" / "pages", sys.argv[1:])
    except disk.DiskError as error:
        print(error, file=sys.stderr)
        return 1
    for file in files:
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB; open it by a double click")
    return 0


if __name__ == "__main__":
    sys.exit(main())
