"""Write the lists of all languages as one dataset repository that others can load, cite and check."""

import dagster as dg

from assets.choices import read_choice
from assets.defaults import DEFAULTS
from assets.entries import SOURCES, Budget, are_of_their_sources, list_precedence
from assets.publishers import ask_publisher
from assets.queries.lists import list_missing, write_licenses, write_lists
from assets.queries.publications import describe_file
from metaclip_dagster.publishing.list_documents import DATA, TEXTS, list_open_licenses, write_list_documents
from metaclip_dagster.publishing.publisher import check_own_lists
from resources.files.local import write_text
from resources.lake.resource import Lake, MissingPartitionError
from resources.published.folders import empty_folder
from resources.published.resource import Published
from resources.sources.resource import Sources

LISTS = "lists"


@dg.asset(
    deps=["entries", *SOURCES],
    group_name="publishing",
    kinds={"parquet", "huggingface"},
    owners=["team:data"],
)
def published_lists(
    context: dg.AssetExecutionContext, lake: Lake, sources: Sources, publications: Published
) -> dg.MaterializeResult:
    """The entries of every language as a folder that is a dataset repository as it stands, with documents about them.

    A config a language, each also as plain text; a card with numbers and rules by language and source, the licence of
    every source, a citation and checksums. What only people know comes from publisher.yaml.

    Next: read the card, complete publisher.yaml, and upload the folder with `metaclip publish lists`.
    """
    publisher = ask_publisher(publications)
    budget = read_choice(lake, "entries", Budget)
    check_lists(lake, budget)
    # Those of languages that are not asked for now, too: publisher.yaml need not change with METACLIP_LANGUAGES.
    files = [*budget.own_lists, *budget.own_lists_of.values(), *DEFAULTS.own_lists.values()]
    check_own_lists(publisher, [url.rsplit("/", 1)[-1] for url in files], publications.publisher)
    with publications.change(LISTS) as folder:
        empty_folder(folder)
        lists = write_lists(
            lake,
            folder,
            precedence=list_precedence(budget),
            budget=budget.budget,
            caps=budget.caps,
            is_of_sample=publications.of_sample,
        )
        write_licenses(lists, sources, folder)
        written = [describe_file(folder, path) for name in (DATA, TEXTS) for path in sorted((folder / name).iterdir())]
        for name, text in write_list_documents(lists, written, publisher).items():
            write_text(folder / name, text)
    shown = {
        "entries": lists.num_entries,
        "languages": len(lists.counts),
        **publications.describe(LISTS),
        "open": publisher.list_open("lists") + list_open_licenses(lists, publisher),
    }
    return dg.MaterializeResult(metadata=shown)


def check_lists(lake: Lake, budget: Budget) -> None:
    """Raise where something is not made that the lists need, or entries are of other sources than the lake has now."""
    if missing := list_missing(lake):
        raise MissingPartitionError(
            f"{', '.join(missing)}: not made yet, or by a version that did not note of what; materialize it, or let "
            "`metaclip publish lists` do it"
        )
    if not are_of_their_sources(lake, budget):
        raise ValueError(
            "entries were built of other sources, or for other languages, than there are now: materialize the sources "
            "again if METACLIP_LANGUAGES has changed, and then entries"
        )
