"""Following a backfill: a server that is away for a moment is waited for, one that stays away is told with the link."""

import pytest

import launch
from resources.graphql import Progress, WebServer


class Flaky(WebServer):
    """A web server that answers, or is away, as a script says."""

    def __init__(self, *script: Progress | Exception) -> None:
        super().__init__("http://127.0.0.1:3000")
        object.__setattr__(self, "script", list(script))

    def _next(self) -> Progress:
        script: list[Progress | Exception] = self.__dict__["script"]
        step = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(step, Exception):
            raise step
        return step

    def progress(self, backfill: str) -> Progress:
        return self._next()

    def check_daemon(self) -> None:
        pass


GOING = Progress("REQUESTED", 2, {"scores": 1}, {})
DONE = Progress("COMPLETED_SUCCESS", 2, {}, {})


AWAY, BUSY = ConnectionError("away"), RuntimeError("refused the query: HTTP Error 500: database is locked")


def test_a_web_server_that_is_away_or_busy_for_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "POLL_SECONDS", 0.0)
    assert launch.follow(Flaky(GOING, AWAY, BUSY, AWAY, DONE), "abc", "a sweep") == DONE


@pytest.mark.parametrize("fault", [AWAY, BUSY])
def test_one_that_stays_so_is_told_with_the_link(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    monkeypatch.setattr(launch, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(launch, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(type(fault), match=r"; then look at http://127\.0\.0\.1:3000/runs/b/abc"):
        launch.follow(Flaky(GOING, fault), "abc", "a sweep")


def test_a_daemon_that_died_meanwhile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(self: Flaky) -> None:
        raise ConnectionError("no Dagster daemon is alive")

    monkeypatch.setattr(launch, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(launch, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(Flaky, "check_daemon", dead)
    with pytest.raises(ConnectionError, match="no Dagster daemon is alive; then look at"):
        launch.follow(Flaky(GOING), "abc", "a sweep")
