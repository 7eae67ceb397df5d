"""A server that does nothing: it makes the file that follows -s, and ends when its DAGSTER_HOME has a file `end`."""

import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    if "-s" in sys.argv:
        Path(sys.argv[sys.argv.index("-s") + 1]).touch()
    while not Path(os.environ["DAGSTER_HOME"], "end").exists():
        time.sleep(0.05)
