"""Write the README.md and mixture.json of an exported mixture: its sources, and how others train on them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from metaclip_dagster.publishing.markdown import render_markdown
from metaclip_dagster.training.mixtures import SeenSource


def write_mixture(name: str, sources: Sequence[SeenSource], num_tars: Mapping[str, int]) -> dict[str, str]:
    """Both documents by file name; `num_tars` is how many tars each source's folder has."""
    page = render_markdown(
        "mixture.md",
        name=name,
        sources=sources,
        tars=[f"{it.name}/{{00000..{num_tars[it.name] - 1:05d}}}.tar" for it in sources],
        factors=[f"{it.factor:.6g}" for it in sources],
        shares=[f"{it.share:.6g}" for it in sources],
        num_images=sum(it.images for it in sources),
    )
    described = {it.name: {key: value for key, value in asdict(it).items() if key != "pairs_seen"} for it in sources}
    return {"README.md": page, "mixture.json": json.dumps(described, indent=1) + "\n"}
