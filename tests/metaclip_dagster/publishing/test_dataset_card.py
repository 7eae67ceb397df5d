"""Laws of a dataset card's YAML: the Hub's own words where they fit, and what it does not know said as such."""

import pytest
import yaml

from metaclip_dagster.publishing.dataset_card import write_front_matter
from metaclip_dagster.publishing.publisher import Publisher
from tests.metaclip_dagster.publishing.parts import make_part


@pytest.mark.parametrize(
    ("license_of_publisher", "keys"),
    [
        ("", {"license": "unknown"}),
        ("cc-by-4.0", {"license": "cc-by-4.0"}),
        ("no", {"license": "no"}),
        ("Our terms: ask", {"license": "other", "license_name": "Our terms: ask"}),
    ],
)
def test_a_licence_is_the_hubs_or_one_of_its_own(license_of_publisher: str, keys: dict[str, str]) -> None:
    metadata = yaml.safe_load(write_front_matter([make_part("20", ["a"])], Publisher(license=license_of_publisher)))
    assert {name: value for name, value in metadata.items() if name.startswith("license")} == keys


def test_languages_are_those_of_the_pairs_in_iso_639_and_one_config_is_the_default() -> None:
    parts = [make_part("20", ["a"]), make_part("100", ["a"])]
    parts[1].card["languages"].extend([{"language": "no", "subset": 1}, {"language": "zh-Hant", "subset": 1}])
    metadata = yaml.safe_load(write_front_matter(parts, Publisher()))
    assert metadata["language"] == ["en", "de", "no", "zh"]
    assert [config.get("default") for config in metadata["configs"]] == [True, None]
