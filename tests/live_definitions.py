"""The graph over a mini sample, quick to train and to tick: the code location of a live daemon's test.

METACLIP_CRAWL and METACLIP_DATA say where the mini sample and its runs lie.
"""

from dataclasses import replace
from pathlib import Path

from metaclip_dagster.training.recipes import RECIPES
from resources import deployments

QUICK = {"models": ("tiny",), "pairs_to_see": 20 * 32, "refresh_seconds": 5, "automation_seconds": 5}

RECIPES["tiny"] = replace(RECIPES["tiny"], batch_size=32, epochs=2, warmup=2, log_every=2)
asked = deployments.deployment()
quick = replace(asked, **QUICK)  # type: ignore[arg-type]  # values of several types
deployments.deployment = lambda: quick  # type: ignore[assignment]  # before the graph is built with it

from definitions import bind  # noqa: E402
from resources.crawl.mini import mini_deployment  # noqa: E402

defs = bind(replace(mini_deployment(Path(asked.crawl).parent, asked.home), **QUICK))  # type: ignore[arg-type]
