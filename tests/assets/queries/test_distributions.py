"""What the lake says of a distribution."""

import json
from pathlib import Path

from commands.export import export_counts
from resources.deployments import Deployment
from resources.lake.resource import open_lake


def test_metaclips_files_hold_what_entry_counts_and_the_subsets_say(curated: Deployment, tmp_path: Path) -> None:
    says = export_counts(curated, "20", tmp_path / "20")
    assert says.endswith(f"{tmp_path / '20'}")
    export_counts(curated, "inf", tmp_path / "inf")
    counts = open_lake(curated).read("entry_counts")
    before, after, of_pool = (
        json.loads((tmp_path / file).read_bytes())
        for file in ("20/entry_counts.json", "20/datacard.json", "inf/datacard.json")
    )
    assert before == dict(zip(counts["entry"].to_pylist(), counts["entry_count"].to_pylist(), strict=True))
    assert of_pool == before, "nothing is thinned at inf"
    assert all(after[entry] == num_pairs for entry, num_pairs in before.items() if num_pairs <= 20), "the tail is whole"
    assert sum(after.values()) < sum(before.values())
