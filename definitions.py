"""The definitions that Dagster loads: the graph of assets, bound to the deployment."""

import inspect
import warnings
from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar, TypeVar

import dagster as dg
from pydantic import create_model

from assets import (
    automation,
    cards,
    concepts,
    coverage,
    crawl,
    curation,
    embeddings,
    entries,
    entry_counts,
    eu_summary,
    evaluation,
    exclusions,
    explain,
    failures,
    images,
    metadata,
    open_lineage,
    opt_outs,
    published_lists,
    published_models,
    publishing,
    robots,
    tokenizers,
    training,
    what_if,
)
from assets.defaults import check_deployment
from resources.crawl.resource import CommonCrawl, open_crawl
from resources.deployments import Deployment, deployment, warn_without_home
from resources.engines.resource import Compute, Local, RayCluster
from resources.images.resource import Images
from resources.lake.resource import LakeReader, open_lake
from resources.models.resource import Trainer
from resources.published.resource import Published
from resources.reports.resource import Reports
from resources.sources.resource import Sources
from resources.takedowns.resource import TakedownList
from resources.tasks.resource import ZeroShot

Resource = TypeVar("Resource", bound=dg.ConfigurableResource)

MODULES = [
    *(metadata, entries, crawl, robots, coverage, curation, opt_outs, exclusions, entry_counts, cards),
    what_if,
    *(images, tokenizers, training, evaluation, concepts, embeddings, publishing, published_lists),
    *(published_models, eu_summary),
]


def bind(where: Deployment) -> dg.Definitions:
    """The graph, and the resources that the deployment gives it.

    Raises ValueError, naming the fields, for a deployment whose partitions or defaults are not those of this process.
    """
    check_deployment(where)
    lake = open_lake(where)
    connections = {"connections", "cache_gb"}
    common_crawl = _fix_fields(CommonCrawl, **open_crawl(where).model_dump(exclude=connections))()
    return dg.Definitions(
        assets=[_link_source(asset) for asset in dg.load_assets_from_modules(MODULES)],
        resources={
            "lake": _hide_config(lake),
            "io_manager": dg.IOManagerDefinition.hardcoded_io_manager(LakeReader(lake), LakeReader.__doc__),
            "compute": _set_defaults(
                Compute,
                engine=RayCluster(address=where.ray) if where.ray else Local(),
                workers=where.workers,
                max_failed_fraction=where.max_failed_fraction,
            )(lake=lake),
            "common_crawl": common_crawl,
            "sources": _set_defaults(
                _fix_fields(
                    Sources,
                    nltk_data=where.nltk_data,
                    wikipedia=where.wikipedia,
                    languages=list(where.languages),
                    listed=list(where.own_lists),
                ),
                parts_of_speech=where.parts_of_speech,
            )(),
            "takedown_list": _hide_config(TakedownList(path=str(where.takedowns), named=bool(where.takedown_list))),
            "reports": _hide_config(Reports(root=str(where.reports), url=where.reports_url, pictures=where.pictures)),
            "publications": _hide_config(
                Published(root=str(where.published), publisher=str(where.publisher), of_sample=where.name == "sample")
            ),
            "image_store": _set_defaults(
                _fix_fields(
                    Images,
                    root=where.images,
                    num_buckets=where.image_buckets,
                    form=where.image_form,
                    contact=where.contact,
                ),
                from_web=where.images_from_web,
            )(common_crawl=common_crawl),
            "trainer": _set_defaults(
                _fix_fields(Trainer, root=str(where.checkpoints)),
                device=where.device,
                loader_workers=where.loader_workers,
            )(),
            "zero_shot": _set_defaults(
                _fix_fields(
                    ZeroShot,
                    deployed=list(where.tasks),
                    deployed_languages=list(where.languages),
                    checkpoints=str(where.checkpoints),
                ),
                device=where.device,
            )(),
        },
        sensors=[*automation.sensors(where), failures.build_sensor(where), open_lineage.build_sensor(where)],
        schedules=[automation.newest_again],
        jobs=[explain.explain],
        executor=dg.in_process_executor,
    )


def _hide_config(resource: dg.ConfigurableResource) -> dg.ResourceDefinition:
    """The resource as it is, of which a run's config can set nothing."""
    return dg.ResourceDefinition.hardcoded_resource(resource, description=resource.__doc__)


def _fix_fields(resource: type[Resource], **values: Any) -> Any:
    """The resource with these values, which are no config any more: only the deployment decides them."""
    annotations = {name: ClassVar[resource.model_fields[name].annotation] for name in values}
    namespace = {"__module__": resource.__module__, "__doc__": resource.__doc__, "__annotations__": annotations}
    # A class without source: who looked for its fields' docstrings would read all that calls this.
    metaclass: Any = type(resource)
    return metaclass(resource.__name__, (resource,), {**namespace, **values}, use_attribute_docstrings=False)


def _set_defaults(resource: type[Resource], **values: Any) -> Callable[..., Resource]:
    """The resource with these defaults, so that a run's config which sets one field leaves the others as they are.

    Dagster takes what a resource was made with as one default, which any config replaces whole.
    """
    fields: dict[str, Any] = {}
    for name, value in values.items():
        field = copy(resource.model_fields[name])
        field.default, field.default_factory = value, None
        fields[name] = (field.annotation, field)
    return create_model(
        resource.__name__,
        __base__=resource,
        __doc__=resource.__doc__,
        __cls_kwargs__={"use_attribute_docstrings": False},
        **fields,
    )


def _link_source(asset: Any) -> Any:
    """The asset with the place of its code, which the UI links: that of its own function, whatever decorates it.

    `dg.with_source_code_references` takes the file of the outermost decorator.
    """
    function = inspect.unwrap(asset.op.compute_fn.decorated_fn)
    file, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        code = dg.LocalFileCodeReference(file_path=str(file), line_number=line)
        place = dg.CodeReferencesMetadataValue(code_references=[code])
    return asset.map_asset_specs(lambda spec: spec.merge_attributes(metadata={"dagster/code_references": place}))


defs = bind(deployment())

warn_without_home()
