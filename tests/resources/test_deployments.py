"""A deployment's folder of Dagster's own is made where it lacks, and left alone where it does not."""

from pathlib import Path

import pytest

from resources.deployments import REPOSITORY, read_deployment

OURS = (REPOSITORY / "resources" / "dagster.yaml").read_bytes()


def test_dagster_yaml_is_the_projects_own_and_is_written_only_where_it_is_not(tmp_path: Path) -> None:
    where = read_deployment({"METACLIP_DATA": str(tmp_path)})
    config = where.dagster_home / "dagster.yaml"
    assert config.read_bytes() == OURS
    written = config.stat()
    assert where.dagster_home == config.parent
    assert (config.stat().st_ino, config.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    config.write_text("telemetry: {enabled: true}\n", encoding="utf-8")
    assert where.dagster_home == config.parent
    assert config.read_bytes() == OURS
    assert [path.name for path in config.parent.iterdir()] == ["dagster.yaml"]


def test_languages_are_named_once_each_by_their_codes() -> None:
    assert read_deployment({"METACLIP_LANGUAGES": "en, de,yue"}).languages == ("en", "de", "yue")
    for listed in ("en,en", "en,", "English", ""):
        with pytest.raises(ValueError, match=f"METACLIP_LANGUAGES='{listed}': name each language once"):
            read_deployment({"METACLIP_LANGUAGES": listed})


def test_a_slash_at_the_end_of_a_crawl_changes_no_address() -> None:
    for name in ("sample", "commoncrawl"):
        told = {"METACLIP_DEPLOYMENT": name, "METACLIP_CRAWL": "s3://crawl/"}
        assert read_deployment(told).crawl == "s3://crawl"
