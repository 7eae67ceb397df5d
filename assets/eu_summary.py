"""Write the EU's public summary of training content for each subset, as far as the lake knows it."""

import dagster as dg

from assets.cards import read_card
from assets.partitions import thresholds
from assets.publishers import ask_publisher
from assets.queries.summaries import collect_facts
from assets.tags import tag_run
from metaclip_dagster.publishing.eu_documents import write_docx, write_markdown
from metaclip_dagster.publishing.eu_summary import describe_summary, list_answers
from metaclip_dagster.reporting.summaries.pages import render_summary
from resources.crawl.resource import CommonCrawl
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.published.resource import Published
from resources.reports.resource import Reports


@dg.asset(
    partitions_def=thresholds,
    deps=["subsets", "data_cards"],
    group_name="publishing",
    kinds={"duckdb", "html"},
    owners=["team:data"],
)
@tag_run
def eu_summary(
    context: dg.AssetExecutionContext,
    lake: Lake,
    reports: Reports,
    common_crawl: CommonCrawl,
    image_store: Images,
    publications: Published,
) -> dg.MaterializeResult:
    """A draft of the AI Act's public summary of training content: a page, Markdown, a Word file and a CSV of domains.

    Filled from the lake and from publisher.yaml; what nobody has said is a blank that names what belongs there.

    Next: complete publisher.yaml where the page has blanks, and materialize it again.
    """
    t = context.partition_key
    name = f"eu_summary_t_{t}"
    publisher = ask_publisher(publications)
    _, card = read_card(reports, t)
    with reports.create(f"{name}_domains.csv") as domains:
        facts = collect_facts(
            lake,
            t,
            card=card,
            periods=common_crawl.periods(),
            is_sample=publications.of_sample,
            user_agent=image_store.user_agent,
            opt_out_words=image_store.opt_outs,
            domains=domains,
        )
    content = describe_summary(facts, list_answers(publisher))
    for suffix, written in (("md", write_markdown(content).encode()), ("docx", write_docx(content))):
        with reports.create(f"{name}.{suffix}") as file:
            file.write(written)
    numbers = {key: content[key] for key in ("pairs", "images", "num_filled", "num_answered", "num_blank")}
    return dg.MaterializeResult(metadata={**numbers, **reports.write(name, render_summary(content), content)})
