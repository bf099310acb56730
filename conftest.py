"""Settings that every test run shares, `pytest --nbval notebooks` by hand included."""

import os

# A live bar redraws itself at a speed that no two runs share; milestones are the same every time.
# Kernels inherit the variable.
os.environ["HELPERS_PROGRESS"] = "milestones"

# Only `make notebooks` writes into the board; what a test writes, it could not compare.
os.environ.pop("HELPERS_RECORD", None)
