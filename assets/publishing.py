"""Write subsets as one dataset repository that others can load, cite and check, with documents about all of it."""

import dagster as dg

from assets.cards import read_card
from assets.partitions import thresholds
from assets.publishers import ask_publisher
from assets.queries.publications import read_parts, write_part
from assets.tags import tag_run
from metaclip_dagster.publishing.documents import write_documents
from metaclip_dagster.publishing.sentences import are_of_one_pool
from resources.files.local import write_text
from resources.lake.resource import Lake
from resources.published.resource import Published
from resources.reports.resource import Reports

DATASET = "dataset"


@dg.asset(
    partitions_def=thresholds,
    deps=["subsets", "data_cards", "entry_counts"],
    group_name="publishing",
    kinds={"parquet", "huggingface"},
    owners=["team:data"],
)
@tag_run
def published(
    context: dg.AssetExecutionContext, lake: Lake, reports: Reports, publications: Published
) -> dg.MaterializeResult:
    """D(t) as a part of a folder that is a dataset repository as it stands, and the documents about all its parts.

    Rows, distribution and data card of t, a dataset card, Croissant, a datasheet, notes on rights, a citation and
    checksums. What only people know comes from publisher.yaml.

    Next: read the documents, complete publisher.yaml, and upload the folder with `metaclip publish dataset`.
    """
    t = context.partition_key
    publisher = ask_publisher(publications)
    page, card = read_card(reports, t)
    with publications.change(DATASET) as folder:
        pairs = write_part(lake, card, page, t, folder)
        parts = read_parts(folder)
        for name, text in write_documents(parts, publisher).items():
            write_text(folder / name, text)
    shown = {
        "pairs": pairs,
        **publications.describe(DATASET),
        "configs": [part.config for part in parts],
        "of_one_pool": are_of_one_pool(parts),
        "open": publisher.list_open("datasheet"),
    }
    return dg.MaterializeResult(metadata=shown)
