"""Read what only people know of what is published, and write down beside it what they are asked."""

from metaclip_dagster.publishing.publisher import Publisher, read_publisher, write_template
from resources.published.resource import Published


def ask_publisher(publications: Published) -> Publisher:
    """What publisher.yaml says, beside which every question is then found in `publisher.yaml.example`.

    Raises ValueError, naming file and key, for what it may not say.
    """
    publications.write_example(write_template())
    return read_publisher(publications.read_publisher(), publications.publisher)
