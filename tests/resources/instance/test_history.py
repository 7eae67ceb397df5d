"""What runs showed and were asked is found in Dagster's history, and only their runs go from it."""

from pathlib import Path

import dagster as dg
import pytest

from resources.instance.history import SHOWN, forget_runs, shown_urls

QUOTED = 'http://h.example/it\'s-a-"cat".png'
LONG = f"https://h.example/{'a' * 100}"


@dg.op(config_schema={"question": str, "answer": str})
def answer(context: dg.OpExecutionContext) -> None:
    if context.op_config["answer"]:
        schema = dg.TableSchema([dg.TableColumn("url", "string")])
        sample = dg.MetadataValue.table([dg.TableRecord({"url": context.op_config["answer"]})], schema)
        context.add_output_metadata({"sample": sample})
        context.log.info(f"see {LONG}, {QUOTED}.")


@dg.job
def question() -> None:
    answer()


def asked(url: str, answer: str = "") -> dict[str, object]:
    return {"ops": {"answer": {"config": {"question": url, "answer": answer}}}}


@pytest.fixture
def instance(tmp_path: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.local_temp(str(tmp_path))


def test_a_url_is_found_with_its_quotes_in_tables_and_texts(instance: dg.DagsterInstance) -> None:
    run = question.execute_in_process(run_config=asked("", QUOTED), instance=instance).run_id
    shown = shown_urls(instance)[run]
    assert {QUOTED, LONG[:SHOWN], f"{QUOTED}."} <= shown
    assert max(map(len, shown)) == SHOWN


def test_a_host_is_never_cut(instance: dg.DagsterInstance) -> None:
    hosts = [f"https://{'.'.join([letter * 60] * 4)}.example" for letter in "abcde"]
    urls = [host + after for host, after in zip(hosts, ["/page", ", said\nno", "?x", "#y", ""], strict=True)]
    run = question.execute_in_process(run_config=asked(" ".join(urls)), instance=instance).run_id
    shown = shown_urls(instance)[run]
    assert [host for host in hosts if not any(url.startswith(host) for url in shown)] == []


def test_a_run_that_never_answered_shows_what_it_was_asked(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run, other = (instance.create_run_for_job(question, run_config=asked(url)).run_id for url in (QUOTED, LONG))
    assert shown_urls(instance) == {run: {QUOTED}, other: {LONG[:SHOWN]}}
    forget_runs(instance, [run], tmp_path)
    assert [left.run_id for left in instance.get_runs()] == [other]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"it's-a" in path.read_bytes()]
