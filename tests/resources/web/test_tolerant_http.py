"""What browsers and urllib take for an answer is one, whatever its head looks like."""

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resources.images.asking import ImageWeb
from resources.images.web import open_image_web
from resources.pools.images import Answer
from resources.web.tolerant_http import tidy_head

BODY = b"an image"
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 8\r\n"
CHUNKS = b"8\r\nan image\r\n0\r\n\r\n"
ANSWERS = {
    "plain": OK + LENGTH + b"\r\n" + BODY,
    "a header of 9,000 bytes": OK + LENGTH + b"Set-Cookie: " + b"x" * 9000 + b"\r\n\r\n" + BODY,
    "a header of 60,000 bytes": OK + LENGTH + b"Content-Security-Policy: " + b"x" * 60_000 + b"\r\n\r\n" + BODY,
    "a blank in a name": OK + b"X Name: y\r\n" + LENGTH + b"\r\n" + BODY,
    "a blank before the colon": OK + b"X-Name : y\r\nContent-Length : 8\r\n\r\n" + BODY,
    "no name": OK + b": y\r\n" + LENGTH + b"\r\n" + BODY,
    "no colon": OK + LENGTH + b"nonsense\r\n\r\n" + BODY,
    "a blank line too many": b"\r\n" + OK + LENGTH + b"\r\n" + BODY,
    "a fold": OK + LENGTH + b"X-Name: y\r\n z\r\n\r\n" + BODY,
    "controls in a value": OK + LENGTH + b"X-Name: a\0b\x01c\xe9\r\n\r\n" + BODY,
    "bare newlines": b"HTTP/1.1 200 OK\nContent-Length: 8\n\n" + BODY,
    "two equal lengths": OK + LENGTH + LENGTH + b"\r\n" + BODY,
    "two equal lengths in a list": OK + b"Content-Length: 8, 8\r\n\r\n" + BODY,
    "no length": OK + b"\r\n" + BODY,
    "an empty length": OK + b"Content-Length:\r\n\r\n" + BODY,
    "a negative length": OK + b"Content-Length: -1\r\n\r\n" + BODY,
    "bytes after the body": OK + LENGTH + b"\r\n" + BODY + b"<!-- cached -->",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunks and a length": OK + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "identity": OK + LENGTH + b"Transfer-Encoding: identity\r\n\r\n" + BODY,
    "an answer before the answer": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY,
    "HTTP/1.0 without a reason": b"HTTP/1.0 200\r\n\r\n" + BODY,
}
# urllib takes the first of two lengths; browsers refuse that, as they refuse a body that is cut.
REFUSED = {
    "two lengths": (OK + LENGTH + b"Content-Length: 9\r\n\r\n" + BODY, "bad_response"),
    "a cut body": (OK + LENGTH + b"\r\n" + BODY[:4], "incomplete"),
    "a cut head": (OK + LENGTH, "incomplete"),
    "no head": (BODY * 1000, "bad_response"),
    "a head without end": (OK + b"X: y\r\n" * 100_000, "bad_response"),
}


@contextmanager
def server(answer: bytes, pieces: int = 1 << 20) -> Iterator[str]:
    """A server that gives the same bytes to whoever asks, in pieces of a size."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    try:
                        connection.recv(1 << 16)
                        for start in range(0, len(answer), pieces):
                            connection.sendall(answer[start : start + pieces])
                        connection.shutdown(socket.SHUT_WR)
                        connection.recv(1)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def ask(url: str) -> Answer:
    port = int(url.rstrip("/").rpartition(":")[2])
    web = ImageWeb(allowed=frozenset({("127.0.0.1", port)}), attempts=1, total_seconds=5.0)
    [(_, answer)] = open_image_web(web)([url])
    return answer[0] if isinstance(answer, tuple) else answer


def ask_plainly(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as response:
        return bytes(response.read())


@pytest.mark.parametrize("name", ANSWERS)
def test_what_urllib_reads_is_read(name: str) -> None:
    readers: list[Callable[[str], Answer]] = [ask]
    if not name.startswith("a blank line"):  # which browsers take
        readers.append(ask_plainly)
    with server(ANSWERS[name]) as url:
        assert [reader(url) for reader in readers] == [BODY] * len(readers)
    if len(ANSWERS[name]) < 200:
        with server(ANSWERS[name], pieces=7) as url:
            assert ask(url) == BODY


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_broken_is_refused(name: str) -> None:
    answer, reason = REFUSED[name]
    with server(answer) as url:
        assert ask(url) == reason


@given(st.binary(max_size=60).map(lambda noise: noise.replace(b"\n\n", b"\n")))
@example(b"A:\x00")
def test_a_head_in_order_stays_as_it_is(noise: bytes) -> None:
    tidy, length = tidy_head(OK + noise + b"\r\n" + LENGTH)
    assert tidy_head(tidy.removesuffix(b"\r\n\r\n")) == (tidy, length)
