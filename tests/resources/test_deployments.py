"""A deployment's folder of Dagster's own is made where it lacks, and left alone where it does not."""

import json
import re
from pathlib import Path

import pytest

from assets.keys import check_thresholds
from resources.deployments import COLLINFO, REPOSITORY, command_line, read_deployment, warn_without_home
from resources.lake.resource import Lake

OURS = (REPOSITORY / "resources" / "instance" / "dagster.yaml").read_bytes()


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


def test_language_identification_is_one_model_or_two_that_have_to_agree() -> None:
    models = {
        "lid.176": ("lid.176",), "/models/glotlid.bin": ("/models/glotlid.bin",),
        "lid.176 + a/../lid.ftz": ("lid.176", f"{Path.cwd()}/a/../lid.ftz"),
    }  # fmt: skip
    for listed, expected in models.items():
        assert read_deployment({"METACLIP_LANGUAGE_ID": listed}).language_id == expected
    assert read_deployment({}).language_id == ("lid.176",)
    for listed in ("", "+", "lid.176+", "lid.176+lid.176", "lid.176+/a+/b"):
        with pytest.raises(ValueError, match=re.escape(f"METACLIP_LANGUAGE_ID={listed!r}: name lid.176, a fastText")):
            read_deployment({"METACLIP_LANGUAGE_ID": listed})


def test_languages_are_named_once_each_by_their_codes() -> None:
    assert read_deployment({"METACLIP_LANGUAGES": "en, de,yue"}).languages == ("en", "de", "yue")
    for listed in ("zh-yue,be_tarask,other", "all"):
        where = read_deployment({"METACLIP_LANGUAGES": listed})
        assert where.languages == tuple(listed.split(","))
        assert where.reference_language == ("en" if listed == "all" else "zh-yue")
    with pytest.raises(ValueError, match="`all` stands alone"):
        read_deployment({"METACLIP_LANGUAGES": "all,en"})
    for listed in ("en,en", "en,", "English", "", "../en"):
        with pytest.raises(ValueError, match=f"METACLIP_LANGUAGES='{listed}': name each language once"):
            read_deployment({"METACLIP_LANGUAGES": listed})


def test_each_language_may_have_a_list_in_one_folder(tmp_path: Path) -> None:
    for name in ("de.txt.gz", "zh-yue.tsv", ".hidden"):
        (tmp_path / name).touch()
    lists = {"de": f"{tmp_path}/de.txt.gz", "zh-yue": f"{tmp_path}/zh-yue.tsv"}
    assert read_deployment({"METACLIP_LISTS": str(tmp_path)}).own_lists == lists
    (tmp_path / "de.tsv").touch()
    for folder, why in ((tmp_path, "de.txt.gz is no list of a language, or the second"), ("none", "there is no list")):
        with pytest.raises(ValueError, match=f"^METACLIP_LISTS='{folder}': {why}"):
            read_deployment({"METACLIP_LISTS": str(folder)})
    (tmp_path / "all.txt").touch()  # no language is called so: it stands for every one
    with pytest.raises(ValueError, match=r"all\.txt is no list of a language"):
        read_deployment({"METACLIP_LISTS": str(tmp_path)})


def test_rungs_are_named_in_one_variable_and_inf_is_the_last() -> None:
    for name, usual in (("sample", "20"), ("commoncrawl", "20000")):
        environment = {"METACLIP_DEPLOYMENT": name}
        assert read_deployment(environment).thresholds[0] == usual
        assert read_deployment({**environment, "METACLIP_THRESHOLDS": ""}).thresholds[0] == usual
        rungs = read_deployment({**environment, "METACLIP_THRESHOLDS": "200, 1700,inf"}).thresholds
        assert check_thresholds(rungs) == ("200", "1700", "inf")
    assert read_deployment({"METACLIP_THRESHOLDS": "inf"}).thresholds == ("inf",)


@pytest.mark.parametrize(
    "listed", ["20", "20,1e3,inf", "20.5,inf", "0,inf", "020,inf", "20,inf,inf", ",inf", "\u0662,inf"]
)
def test_rungs_that_are_no_whole_numbers_up_to_inf_are_refused(listed: str) -> None:
    with pytest.raises(ValueError, match=r"METACLIP_THRESHOLDS=.*name whole numbers"):
        read_deployment({"METACLIP_THRESHOLDS": listed})


@pytest.mark.parametrize("listed", ["100,20,inf", "20,20,inf"])
def test_rungs_that_do_not_ascend_are_refused(listed: str) -> None:
    with pytest.raises(ValueError, match=r"METACLIP_THRESHOLDS=.*ascend"):
        read_deployment({"METACLIP_THRESHOLDS": listed})


def test_a_slash_at_the_end_of_a_crawl_changes_no_address() -> None:
    for name in ("sample", "commoncrawl"):
        environment = {"METACLIP_DEPLOYMENT": name, "METACLIP_CRAWL": "s3://crawl/"}
        assert read_deployment(environment).crawl == "s3://crawl"


def test_the_list_of_common_crawls_snapshots_is_where_it_is_wherever_its_files_are_read() -> None:
    listed = {None: COLLINFO, "https://data.commoncrawl.org/": COLLINFO, "s3://commoncrawl": COLLINFO, "s3://mine": ""}
    for crawl, collinfo in listed.items():
        environment = {"METACLIP_DEPLOYMENT": "commoncrawl"} | ({"METACLIP_CRAWL": crawl} if crawl else {})
        assert read_deployment(environment).collinfo == collinfo


def test_a_lake_elsewhere_has_a_folder_for_each_deployment(tmp_path: Path) -> None:
    at_home = read_deployment({"METACLIP_DATA": str(tmp_path)})
    assert at_home.lake == str(tmp_path / "sample" / "lake")
    for name in ("sample", "commoncrawl"):
        environment = {"METACLIP_DEPLOYMENT": name, "METACLIP_LAKE": "s3://bucket/pool/"}
        assert read_deployment(environment).lake == f"s3://bucket/pool/{name}"
        assert read_deployment({**environment, "METACLIP_LAKE": str(tmp_path)}).lake == str(tmp_path / name)


@pytest.mark.parametrize(
    "environment",
    [
        {"METACLIP_LAKE": "s3://AKID:hush@bucket/pool"},
        {"METACLIP_LAKE_OPTIONS": '{"key": "AKID", "secret": "hush"}'},
        {"METACLIP_LAKE_OPTIONS": '{"client_kwargs": {"aws_session_token": "hush"}}'},
        {"METACLIP_LAKE_OPTIONS": '{"endpoint_url": "https://AKID:hush@storage.example"}'},
        {"METACLIP_LAKE_OPTIONS": '{"account_key": "hush"}'},
        {"METACLIP_LAKE_OPTIONS": '{"key": "hush"'},
        {"METACLIP_CRAWL_OPTIONS": '{"s3_additional_kwargs": {"SSECustomerKey": "hush"}}'},
    ],
)
def test_credentials_are_refused_and_not_repeated(environment: dict[str, str]) -> None:
    [name] = environment
    with pytest.raises(ValueError, match=name) as refused:
        read_deployment(environment)
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_options_that_are_no_credentials_are_taken() -> None:
    options = {"anon": False, "profile": "pool", "s3_additional_kwargs": {"SSEKMSKeyId": "alias/pool"}}
    assert read_deployment({"METACLIP_LAKE_OPTIONS": json.dumps(options)}).lake_options == options


def test_a_lake_refuses_credentials_that_a_launchpad_gives() -> None:
    with pytest.raises(ValueError, match="secret") as refused:
        Lake(root="s3://bucket/pool", storage_options={"key": "AKID", "secret": "hush"}).partitions()
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("program", ["/v/bin/dagster", "/v/bin/dagster-webserver", "/lib/dagster/__main__.py"])
def test_dagster_without_its_home_is_told_where_the_runs_are(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"METACLIP_DATA": str(tmp_path)}
    for home in ({}, {"DAGSTER_HOME": "/checkout/.tmp_dagster_home_x"}):
        warn_without_home(environment | home, program)
        assert f"are in {tmp_path}/sample/dagster_home: set DAGSTER_HOME to it" in capsys.readouterr().err
    warn_without_home(environment | {"DAGSTER_HOME": "/elsewhere"}, program)
    warn_without_home(environment, "/v/bin/metaclip")
    assert capsys.readouterr().err == ""


def test_a_command_line_for_a_new_shell_names_the_deployment_and_quotes_what_it_names(tmp_path: Path) -> None:
    environment = {
        "METACLIP_DATA": str(tmp_path / "a b"),
        "METACLIP_LANGUAGES": "en,de",
        "METACLIP_THRESHOLDS": "20,50,inf",
        "METACLIP_CONTACT": "x@y.example",
    }
    line = command_line("dagster", "run", "list", environment=environment)
    assert f"METACLIP_DATA='{tmp_path}/a b' METACLIP_DEPLOYMENT=sample METACLIP_LANGUAGES=en,de " in line
    assert " METACLIP_THRESHOLDS=20,50,inf " in line
    assert f"DAGSTER_HOME='{tmp_path}/a b/sample/dagster_home' " in line
    assert line.startswith(f"cd {REPOSITORY} && ")
    assert line.endswith(" -m dagster run list")
    assert "x@y.example" not in line


def test_reports_are_served_beside_the_ui_unless_somebody_else_serves_them() -> None:
    assert read_deployment({"METACLIP_PORT": "4000"}).reports_url == "http://127.0.0.1:4001"
    assert (
        read_deployment({"METACLIP_REPORTS_URL": "https://reports.example/"}).reports_url == "https://reports.example"
    )
    assert read_deployment({"METACLIP_REPORTS_URL": ""}).reports_url == ""


def test_pictures_are_shown_blurred_or_left_out_as_asked_and_nothing_else() -> None:
    assert read_deployment({}).pictures == "shown"
    assert read_deployment({"METACLIP_DEPLOYMENT": "commoncrawl"}).pictures == "blurred"
    assert read_deployment({"METACLIP_PICTURES": "off"}).pictures == "off"
    with pytest.raises(ValueError, match="METACLIP_PICTURES='no': there are shown, blurred and off"):
        read_deployment({"METACLIP_PICTURES": "no"})


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", ""),
        ("256", "256,jpg,95"),
        ("512,webp", "512,webp,95"),
        ("64,jpg,1", "64,jpg,1"),
        ("8,webp,100", "8,webp,100"),
    ],
)
def test_a_form_of_images_is_whole_however_short_it_is_given(text: str, form: str) -> None:
    assert read_deployment({"METACLIP_IMAGES_STORED": text}).image_form == form


@pytest.mark.parametrize("text", ["0", "-1", "256,png", "256,jpg,0", "256,jpg,101", "256 jpg", "100000", "256,", "٢٥٦"])
def test_what_is_no_form_of_images_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="METACLIP_IMAGES_STORED="):
        read_deployment({"METACLIP_IMAGES_STORED": text})


def test_the_buckets_of_a_store_are_set_by_a_variable() -> None:
    assert read_deployment({"METACLIP_IMAGE_BUCKETS": "8"}).image_buckets == 8
    assert read_deployment({"METACLIP_DEPLOYMENT": "commoncrawl"}).image_buckets == 4096
    for text in ("", "0", "-1", "08", "100000", "4096.0", "٨"):
        with pytest.raises(ValueError, match="METACLIP_IMAGE_BUCKETS="):
            read_deployment({"METACLIP_IMAGE_BUCKETS": text})


def test_models_are_named_by_a_variable() -> None:
    assert read_deployment({"METACLIP_MODELS": ""}).models == read_deployment({}).models
    assert read_deployment({"METACLIP_MODELS": "tiny, tiny-worldwide"}).models == ("tiny", "tiny-worldwide")
    for listed in ("tiny,tiny", "tiny,", "tiny|20"):
        with pytest.raises(ValueError, match=r"METACLIP_MODELS=.*name each model once"):
            read_deployment({"METACLIP_MODELS": listed})


def test_filters_have_names_that_can_stand_in_a_key(tmp_path: Path) -> None:
    path = tmp_path / "filters.json"
    named = {"clip28": {"filters": {"column:similarity": {"at_least": 0.28}}}}
    path.write_text(json.dumps(named), encoding="utf-8")
    assert read_deployment({"METACLIP_FILTERS": str(path)}).named_filters == named
    assert read_deployment({}).named_filters == {}
    refused: list[tuple[object, str]] = [
        ({"20": {"filters": {}}}, "'20' is no name"),
        ({"a-b": {"filters": {}}}, "'a-b' is no name"),
        ({"a": {}}, "give each name what"),
        ([], "give each name what"),
    ]
    for content, why in refused:
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ValueError, match=f"^METACLIP_FILTERS=.*{why}"):
            read_deployment({"METACLIP_FILTERS": str(path)})
    with pytest.raises(ValueError, match=r"^METACLIP_FILTERS='none\.json': .*name a file of JSON"):
        read_deployment({"METACLIP_FILTERS": "none.json"})
