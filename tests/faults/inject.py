"""Make system calls fail in this process, and in workers that it starts, by libfiu's preload. Imports no Dagster."""

import ctypes
import errno
import json
import os
import random
import threading
import time
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from resources.engines import local_engine

PRELOAD = Path("/usr/lib/fiu/fiu_posix_preload.so")
# jemalloc's thread, within Arrow, would look up what libfiu calls while an import waits for it: neither would go on.
ENVIRONMENT = {"LD_PRELOAD": str(PRELOAD), "JE_ARROW_MALLOC_CONF": "background_thread:false"}
MISSING = f"{PRELOAD}: missing; `apt-get install fiu-utils` brings the library that makes system calls fail"
SETTINGS = "METACLIP_TEST_FAULT"
WRITES = ("rw/write", "rw/pwrite", "rw/ftruncate", "sync/fsync", "sync/fdatasync")
READS = ("rw/read", "rw/pread", "oc/open")
FAULTS = {
    "ENOSPC": (errno.ENOSPC, WRITES),
    "EIO": (errno.EIO, (*READS, *WRITES)),
    "short reads and writes": (0, ("rw/read/reduce", "rw/pread/reduce", "rw/write/reduce", "rw/pwrite/reduce")),
}
ONETIME = 1
GAP_SECONDS = 0.02
"""How long a call that is to fail is waited for, and so how many fail at most: fifty a second."""

_work = local_engine._work


def arm(fault: str, *, seed: int, after: float, until: float, hits: Path, driver: bool, workers: bool) -> None:
    """From `after` to `until` seconds from now, let calls fail in this process, its workers or both.

    Each that failed leaves a line in the file `hits`. Which calls fail follows from the seed, and from what is called
    when.
    """
    settings = {
        "fault": fault,
        "seed": seed,
        "hits": str(hits),
        "after": time.time() + after,
        "until": time.time() + until,
    }
    os.environ[SETTINGS] = json.dumps(settings)
    # It writes to a pipe, which no disk's fault reaches, and one that it takes for dead is waited for without end.
    resource_tracker._resource_tracker._check_alive = lambda: True  # type: ignore[attr-defined]
    if driver:
        _begin(settings)
    if workers:
        local_engine._work = work


def work(pipe: Connection) -> None:
    """What a worker does, under the fault that the driver's environment tells."""
    settings = json.loads(os.environ[SETTINGS])
    _begin({**settings, "seed": settings["seed"] + os.getpid()})
    _work(pipe)


def _begin(settings: dict[str, Any]) -> None:
    threading.Thread(target=_fail_calls, args=(settings,), daemon=True).start()


def _fail_calls(settings: dict[str, Any]) -> None:
    """Let a call fail, see whether it has, note it, let the next one fail."""
    fiu, draw = ctypes.CDLL("libfiu.so.0"), random.Random(settings["seed"])
    number, names = FAULTS[settings["fault"]]
    info = ctypes.c_void_p(number)
    time.sleep(max(0.0, settings["after"] - time.time()))
    while time.time() < settings["until"]:
        name = f"posix/io/{draw.choice(names)}".encode()
        fiu.fiu_enable(name, 1, info, ONETIME)
        time.sleep(GAP_SECONDS)
        has_failed = fiu.fiu_fail(name) == 0  # whoever asks first is failed: here, this question
        fiu.fiu_disable(name)
        if has_failed:
            with Path(settings["hits"]).open("a") as log:
                log.write(f"{name.decode()}\n")
