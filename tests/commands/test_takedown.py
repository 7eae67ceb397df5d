"""A request for takedowns is added whole or not at all, however a spreadsheet saved it."""

import csv
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from commands.takedown import describe, take_in
from metaclip_dagster.deduplicating.takedowns import KINDS, read_value
from resources.crawl.mini import mini_deployment
from resources.deployments import Deployment
from resources.takedowns.intake import read_request
from resources.takedowns.listing import HEADER, read_lines

ROOT = Path(__file__).parents[2]
TODAY = f"{datetime.now(UTC):%Y-%m-%d}"
SAVED = {
    "plain": b"kind,value,reason\nurl,http://x.example/a,\ndomain,y.example,why\n",
    "excel": "\ufeffkind,value,reason\r\nurl,http://x.example/a,\r\ndomain,y.example,why\r\n".encode(),
    "semicolons": b"Kind;Value;Reason;;\r\nURL; http://x.example/a ;;;\r\n;;;;\r\ndomain;y.example;why;;\r\n",
    "told": b"sep=;\r\nkind;value\r\nurl;http://x.example/a\r\ndomain;y.example\r\n",
    "unicode": "kind\tvalue\r\nurl\thttp://x.example/a\r\ndomain\ty.example\r\n".encode("utf-16"),
    "old mac": b"kind,value\rurl,http://x.example/a\rdomain,y.example",
    "pasted": "\nkind,value\n\nurl,\u00a0http://x.example/a\u200b\ndomain,y.example\ndomain,y.example\n".encode(),
}


@pytest.fixture
def where(tmp_path: Path) -> Deployment:
    return mini_deployment(tmp_path, tmp_path / "home")


def ask(folder: Path, *lines: str, header: str = "kind,value,reason") -> Path:
    path = folder / "request.csv"
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return path


def listed(where: Deployment) -> list[tuple[str, str, str]]:
    return [(line.kind, line.value, line.request) for line in read_lines(str(where.takedowns))]


@pytest.mark.parametrize("saved", SAVED)
def test_a_request_is_read_however_it_was_saved(where: Deployment, tmp_path: Path, saved: str) -> None:
    (tmp_path / "request.csv").write_bytes(SAVED[saved])
    _, added = take_in(where, tmp_path / "request.csv")
    assert (added.request, added.lines) == (f"{TODAY}-1", 2)
    assert listed(where) == [("url", "http://x.example/a", f"{TODAY}-1"), ("domain", "y.example", f"{TODAY}-1")]


def test_every_bad_line_is_named_and_nothing_added(where: Deployment, tmp_path: Path) -> None:
    bad = [
        "host,x",
        'url,"http://x/',
        "url,http://x/a,b,c",
        "domain,https://www.x.example/a,",
        "url",
        f"url,,{'a' * 1001}",
    ]
    with pytest.raises(ValueError, match="so nothing was added") as error:
        take_in(where, ask(tmp_path, "domain,y.example,", *bad))
    messages = str(error.value).splitlines()
    assert messages[0] == "6 bad lines, so nothing was added"
    assert [int(message.split(":")[1]) for message in messages[1:]] == [3, 4, 5, 6, 7, 8]
    assert messages[4].endswith("is www.x.example meant?")
    with pytest.raises(ValueError, match=r"(?s)^25 bad lines.*:21: [^\n]*\nand 5 more$"):
        take_in(where, ask(tmp_path, *(f"domain,x{number}," for number in range(25))))
    assert not where.takedowns.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", ":1: the first line must be kind,value or kind,value,reason"),
        (b"url,http://x.example/\n", ":1: the first line must be"),
        (b"kind,value\n\n,\n", "no line below the header"),
        (b"kind,value\nurl,http://x/\xff\n", "save it in UTF-8"),
        (b"\xff\xfea", "save it in UTF-8"),
    ],
)
def test_a_file_that_is_no_request_is_named(where: Deployment, tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "request.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"request\.csv.*{says}"):
        take_in(where, tmp_path / "request.csv")


def test_a_list_keeps_its_lines_and_who_may_read_it_and_gets_a_column_of_requests(
    where: Deployment, tmp_path: Path
) -> None:
    where.home.mkdir()
    where.takedowns.write_bytes(b'kind,value,reason\r\n\r\nurl,http://x.example/,"a, ""b"""\r\ndomain,y.example,')
    where.takedowns.chmod(0o640)
    take_in(where, ask(tmp_path, 'domain,z.example,"=HYPERLINK(""http://evil"")"'), "r-1")
    assert listed(where) == [
        ("url", "http://x.example/", ""),
        ("domain", "y.example", ""),
        ("domain", "z.example", "r-1"),
    ]
    reasons = [row[2] for row in csv.reader(where.takedowns.read_text(encoding="utf-8").splitlines()) if row]
    assert reasons == ["reason", 'a, "b"', "", '\'=HYPERLINK("http://evil")']
    assert stat.S_IMODE(where.takedowns.stat().st_mode) == 0o640


def test_a_line_may_serve_two_requests_and_the_same_request_sent_again_adds_nothing(
    where: Deployment, tmp_path: Path
) -> None:
    request = ask(tmp_path, "url,http://x.example/a,", "domain,y.example,")
    assert take_in(where, request, "r-1")[1].lines == 2
    before = where.takedowns.read_bytes()
    lines, again = take_in(where, request, "r-1")
    assert (again.lines, again.already, where.takedowns.read_bytes()) == (0, 2, before)
    lines, other = take_in(where, request)
    assert (other.request, other.lines, other.elsewhere) == (f"{TODAY}-1", 2, 2)
    said = describe(where, lines, other)
    assert "2 of them are listed by other lines too" in said
    assert "1 URLs are listed with http:// or https:// alone" in said


def test_ids_are_new_whoever_asks_at_once_and_whatever_has_a_receipt(where: Deployment, tmp_path: Path) -> None:
    (where.reports / "takedowns").mkdir(parents=True)
    (where.reports / "takedowns" / f"{TODAY}-3.json").write_text("{}", encoding="utf-8")
    request = ask(tmp_path, "domain,y.example,")
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: take_in(where, request)[1].request, range(8)))
    assert ids == {f"{TODAY}-{number}" for number in range(4, 12)}
    assert len(listed(where)) == 8


@pytest.mark.parametrize("request_id", ["../x", "a b", "y.example-1", "2026-11-30T101500Z"])
def test_an_id_that_is_none_or_tells_what_went_is_refused(where: Deployment, tmp_path: Path, request_id: str) -> None:
    path = ask(tmp_path, "domain,Y.example,")
    with pytest.raises(ValueError, match=r"--id"):
        take_in(where, path, request_id)


def test_the_forms_that_people_fill_in_have_the_kinds_and_columns_that_are_read() -> None:
    lines, problems = read_request(str(ROOT / "docs" / "takedown-request.csv"))
    assert not problems
    assert all(read_value(line.where, line.kind, line.value) for line in lines)
    assert (ROOT / "docs" / "takedown-request.csv").read_text(encoding="utf-8").splitlines()[0] == ",".join(HEADER)
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "takedown-request.yml").read_text(encoding="utf-8"))
    [options] = [part["attributes"]["options"] for part in form["body"] if part.get("id") == "kind"]
    assert options == list(KINDS)
    assert {"kind", "values", "name", "contact", "statement"} <= {part.get("id") for part in form["body"]}
