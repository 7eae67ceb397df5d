"""Homes that many tests begin with: each is built once a run, by the first that asks, and copied by who changes it."""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings
from sqlalchemy import event
from sqlalchemy.engine import Engine

from resources.deployments import Deployment
from resources.lake.resource import Lake

collect_ignore = ["live_definitions.py"]
"""A code location with a deployment of its own, which no other test is to see."""

MOST_EXAMPLES = 30
# A machine that others use too is slow; that is no failure.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What fails here fails everywhere: no commit is blamed for what was drawn by chance. "random" draws anew.
settings.register_profile("commit", patient, derandomize=True)
settings.register_profile("night", patient, derandomize=True)
settings.register_profile("random", patient)
settings.load_profile("commit")


# No test turns the power off: nobody waits until the disk has what is written, here Dagster's events.
@event.listens_for(Engine, "connect")
def _write_without_waiting(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


os.fsync = lambda fd: None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Draw few examples for a commit; begin with tests of the whole graph, so that no long file comes last."""
    items.sort(key=lambda item: len(item.path.parts))
    for item in items if settings.get_current_profile_name() == "commit" else ():
        test = getattr(item, "obj", None)
        test = getattr(test, "__func__", test)
        if test is not None and is_hypothesis_test(test):
            asked: settings = test._hypothesis_internal_use_settings  # there is no public way to scale examples
            test._hypothesis_internal_use_settings = settings(
                asked, max_examples=min(asked.max_examples, MOST_EXAMPLES)
            )


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Builds a folder that all processes of this run share."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def build_folder(name: str, build: Callable[[Path], object]) -> Path:
        folder, is_built = root / name, root / f"{name}.built"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_built.exists():
                shutil.rmtree(folder, ignore_errors=True)
                build(folder)
                is_built.touch()
        return folder

    return build_folder


@pytest.fixture(scope="session")
def mini(build_once: Callable[..., Path]) -> Path:
    """The mini sample, two archives a snapshot."""
    from resources.crawl.mini import build_mini

    return build_once("mini", lambda folder: build_mini(folder, num_files=2))


@pytest.fixture(scope="session")
def curated(mini: Path, build_once: Callable[..., Path]) -> Deployment:
    """The mini sample's two oldest snapshots curated, up to the data cards; not to be changed."""
    from commands import demo
    from resources.crawl.mini import mini_deployment

    return mini_deployment(mini, build_once("curated", lambda home: demo.curate(mini_deployment(mini, home))))


@pytest.fixture(scope="session")
def imaged(mini: Path, curated: Deployment, build_once: Callable[..., Path]) -> Deployment:
    """The curated home with images and training sets of every t; not to be changed."""
    from resources.crawl.mini import mini_deployment
    from tests.mini import make_training_sets

    def build(home: Path) -> None:
        shutil.copytree(curated.home, home)
        make_training_sets(mini_deployment(mini, home))

    return mini_deployment(mini, build_once("imaged", build))


@pytest.fixture(scope="session")
def lake(curated: Deployment) -> Lake:
    """The lake of the curated mini sample."""
    return Lake(root=curated.lake)
