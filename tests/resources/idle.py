"""A server that does nothing: it makes the file that follows -s, and ends when its DAGSTER_HOME has a file `end`.

Where that folder has a file `slow`, it is slow to make the file.
"""

import os
import sys
import time
from pathlib import Path

SLOW_SECONDS = 2.0

if __name__ == "__main__":
    home = Path(os.environ["DAGSTER_HOME"])
    if "-s" in sys.argv:
        time.sleep(SLOW_SECONDS * (home / "slow").exists())
        Path(sys.argv[sys.argv.index("-s") + 1]).touch()
    while not (home / "end").exists():
        time.sleep(0.05)
