"""One mini sample and one finished run over it, for every test that only reads them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from commands import demo
from resources.crawl.mini import build_mini, mini_deployment
from resources.deployments import Deployment
from resources.lake.resource import Lake

# A machine that others use too is slow; that is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini sample, two archives a snapshot."""
    return build_mini(tmp_path_factory.mktemp("mini") / "sample", num_files=2)


@pytest.fixture(scope="session")
def curated(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment in which the curation ran undisturbed over the mini sample; not to be changed."""
    where = mini_deployment(mini, tmp_path_factory.mktemp("curated"))
    demo.curate(where)
    return where


@pytest.fixture(scope="session")
def lake(curated: Deployment) -> Lake:
    """The lake of that run."""
    return Lake(root=curated.lake)
