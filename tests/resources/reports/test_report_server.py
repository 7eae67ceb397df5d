"""What is served of the disk: the reports, to this machine's own pages, and nothing that could load or run more."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.reports.server import serve_reports


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "reports"


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    (folder / "takedowns").mkdir(parents=True)
    for name in ("sweep.html", "data_card_t_0.5.json", ".hidden.html", "notes.txt", "takedowns/1.json"):
        (folder / name).write_text("<p>all is well</p>", encoding="utf-8")
    (folder.parent / "secret.html").write_text("secret", encoding="utf-8")
    (folder / "link.html").symlink_to(folder.parent / "secret.html")
    with serve_reports(folder, 0) as served:
        yield served


def ask(port: int, path: str, method: str = "GET", host: str = "") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    return connection.getresponse()


def test_a_report_is_given_with_a_policy_that_loads_and_runs_nothing(port: int) -> None:
    answer = ask(port, "/sweep.html")
    assert (answer.status, answer.read()) == (200, b"<p>all is well</p>")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; img-src data:;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ask(port, "/data_card_t_0.5.json", host="localhost").status == 200


def test_a_script_runs_only_where_the_page_names_it_before_anything_that_a_crawl_brought(
    port: int, folder: Path
) -> None:
    named = f"script-src 'sha256-{'a' * 43}='"
    policy = f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; {named}; img-src data:">'
    for name, page in (("own.html", policy), ("late.html", "x" * 1024 + policy)):
        (folder / name).write_text(page, encoding="utf-8")
    assert ask(port, "/own.html").headers["Content-Security-Policy"].endswith(f"; {named}")
    for path in ("/late.html", "/sweep.html", "/absent.html"):
        assert "script-src" not in ask(port, path).headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    ["/", "/../secret.html", "/%2e%2e/secret.html", "/..%2fsecret.html", "//etc/passwd", "/link.html", "/.hidden.html",
     "/notes.txt", "/takedowns/1.json", "/takedowns/", "/sweep.html/..", "/sweep.html%00.json", "/absent.html"],
)  # fmt: skip
def test_nothing_else_of_the_disk_is_given(port: int, path: str) -> None:
    answer = ask(port, path)
    assert answer.status == 404
    assert b"secret" not in answer.read().replace(b"secret.html", b"")
    assert "Content-Security-Policy" in answer.headers


def test_a_name_that_somebody_leads_to_the_loopback_and_another_method_get_nothing(port: int) -> None:
    assert ask(port, "/sweep.html", host="evil.example").status == 403
    assert ask(port, "/sweep.html", method="POST").status == 501
