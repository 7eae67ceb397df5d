"""`python -m data.builder --out data/sample --cache DIR`: build the sample; README.md and tests beside it stay."""

import argparse
import json
import shutil
from pathlib import Path

from data.builder.crawl import write_crawl
from data.builder.drawings import draw_all
from data.builder.licenses import write_licenses
from data.builder.names import read_names
from data.builder.packages import fetch_packages
from data.builder.plan import plan_snapshots
from data.builder.tasks import write_tasks
from data.builder.wikipedia import write_wikipedia
from data.builder.wordnet import write_wordnet
from data.builder.words import write_lists

_MADE = ("crawl", "tasks", "wikipedia", "nltk_data", "lists", "LICENSES")


def build(out: Path, cache: Path) -> None:
    """Everything under `out` but its README, from scratch."""
    packages = fetch_packages(cache)
    names = read_names(packages["emojibase"])
    drawings = draw_all(packages, set(names.emoji))
    for folder in _MADE:
        shutil.rmtree(out / folder, ignore_errors=True)
    snapshots = plan_snapshots(names, drawings)
    write_crawl(out / "crawl", snapshots, drawings)
    left_out = write_tasks(out / "tasks", names, drawings["twemoji"], snapshots)
    write_wikipedia(out / "wikipedia", packages["dump"], packages["titles"])
    wordnet_license = write_wordnet(out / "nltk_data" / "corpora" / "wordnet.zip", packages["wordnet"])
    write_lists(out / "lists", packages["words"])
    write_licenses(out / "LICENSES", packages, wordnet_license)
    print(json.dumps({"classes left out, for one of a shorter name has the same drawing": left_out}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the sample's folder")
    parser.add_argument("--cache", type=Path, required=True, help="where downloaded packages stay (about 290 MB)")
    arguments = parser.parse_args()
    build(arguments.out, arguments.cache)
