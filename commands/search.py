"""Search the images of a training set by a text or a picture, with its own model; print the best, and write a page."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assets.keys import TRAINING_SETS
from assets.queries.searches import Query, choose_cell, is_embedded, read_query, search
from commands.names import check_choice
from commands.publish import make
from commands.tables import render_table
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.searches.page import name_search, render_search
from resources.deployments import Deployment, deployment
from resources.lake.resource import open_lake
from resources.reports.resource import Reports

MOST = 100
"""Pictures on a page."""


def main(asked: argparse.Namespace) -> None:
    """Print what was found, and end the process with it."""
    if not 1 <= asked.limit <= MOST:
        raise ValueError(f"--limit {asked.limit}: give 1 to {MOST}")
    training_set = check_choice(asked.training_set, TRAINING_SETS, "training set")
    query = read_query(asked.text, asked.image)
    print(search_set(deployment(), training_set, query, model=asked.model, limit=asked.limit), flush=True)
    sys.stderr.flush()
    os._exit(0)  # at a usual end DuckDB, kept alive by torch, would list all its functions as leaked


def search_set(where: Deployment, training_set: str, query: Query, *, model: str | None = None, limit: int = 20) -> str:
    """Search, after the set's images were embedded where they are not yet; gives the table, and the page's path."""
    lake = open_lake(where)
    if model:
        check_choice(model, where.models, "model")
    cell = choose_cell(lake, training_set, where.models, model)
    if not is_embedded(lake, cell):
        print(f"{cell.model} embeds the images of {training_set} once; other searches of it are quick", flush=True)
        make(where, "image_embeddings", [cell.key])
    report, pictures = search(
        lake, cell, query, checkpoints=where.checkpoints, images=where.images, device=where.device, limit=limit
    )
    name = name_search(report)
    page = render_search(report, pictures, where.pictures)
    Reports(root=str(where.reports)).write(name, page, report)
    heading = f"{report['images']:,} images of {training_set} by {cell.model}: {reveal(query.words)}"
    return f"{heading}\n{render_table(_list_hits(report), num_left=5)}\n{Path(where.reports, f'{name}.html')}"


def _list_hits(report: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        [
            str(hit["rank"]),
            f"{hit['similarity']:.3f}",
            reveal(hit["texts"][0] if hit["texts"] else "", 50),
            reveal(hit["url"], 80),
            hit["image_id"],
        ]
        for hit in report["hits"]
    ]
    return [["", "similarity", "text", "url", "image"], *rows]
