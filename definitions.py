"""The front door for Dagster: the graph bound to the deployment."""

import warnings
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, TypeVar

import dagster as dg
from pydantic import create_model

from assets import automation, cards, coverage, crawl, curation, entries, evaluation, explain, metadata, training
from resources.common_crawl import CommonCrawl, open_crawl
from resources.compute import Compute, Local, RayCluster
from resources.deployments import Deployment, deployment
from resources.images import Images
from resources.lake import LakeReader, open_lake
from resources.open_clip import Trainer
from resources.reports import Reports
from resources.sources import Sources
from resources.takedowns import TakedownList
from resources.zero_shot import ZeroShot

Resource = TypeVar("Resource", bound=dg.ConfigurableResource)

MODULES = [metadata, entries, crawl, coverage, curation, cards, training, evaluation]


def bind(where: Deployment) -> dg.Definitions:
    """The graph and the resources that the deployment gives it."""
    lake = open_lake(where)
    common_crawl = _preset(CommonCrawl, **open_crawl(where).model_dump())()
    return dg.Definitions(
        assets=_with_sources(dg.load_assets_from_modules(MODULES)),
        resources={
            "lake": lake,
            "io_manager": dg.IOManagerDefinition.hardcoded_io_manager(LakeReader(lake), LakeReader.__doc__),
            "compute": _preset(
                Compute,
                engine=RayCluster(address=where.ray) if where.ray else Local(),
                workers=where.workers,
                max_failed_fraction=where.max_failed_fraction,
            )(lake=lake),
            "common_crawl": common_crawl,
            "sources": _preset(
                Sources,
                nltk_data=where.nltk_data,
                parts_of_speech=where.parts_of_speech,
                wikipedia=where.wikipedia,
                languages=list(where.languages),
            )(),
            "takedown_list": TakedownList(path=str(where.takedowns), named=bool(where.takedown_list)),
            "reports": Reports(root=str(where.reports)),
            "image_store": _preset(
                Images,
                root=str(where.images),
                num_buckets=where.image_buckets,
                from_web=where.images_from_web,
                contact=where.contact,
            )(common_crawl=common_crawl),
            "trainer": _preset(
                Trainer, root=str(where.checkpoints), device=where.device, loader_workers=where.loader_workers
            )(),
            "zero_shot": _preset(
                ZeroShot, folders=list(where.tasks), checkpoints=str(where.checkpoints), device=where.device
            )(),
        },
        sensors=automation.sensors(where),
        schedules=automation.schedules(),
        jobs=[explain.explain],
        executor=dg.in_process_executor,
    )


def _preset(resource: type[Resource], **values: Any) -> Callable[..., Resource]:
    """The resource with these defaults, so that a run's config which sets one field leaves the others as they are.

    Dagster takes what a resource was made with as one default, which any config replaces whole.
    """
    fields: dict[str, Any] = {}
    for name, value in values.items():
        field = copy(resource.model_fields[name])
        field.default, field.default_factory = value, None
        fields[name] = (field.annotation, field)
    return create_model(resource.__name__, __base__=resource, __doc__=resource.__doc__, **fields)


def _with_sources(assets: Sequence[Any]) -> Sequence[Any]:
    """The same assets, each with the place of its code, which the UI links."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.with_source_code_references(assets)


defs = bind(deployment())
