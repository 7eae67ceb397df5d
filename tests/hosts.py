"""A host on the loopback that serves files as Common Crawl's does, and misbehaves as it is told."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

Act = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next act of the host's plan, and as it should once the plan is over."""

    protocol_version = "HTTP/1.1"
    server: "Host"

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked.append((self.path, self.headers.get("Range"), time.monotonic()))
            self.server.agents.add(self.headers.get("User-Agent"))
            act = self.server.plan.pop(0) if self.server.plan else whole
            self.server.open += 1
            self.server.most_open = max(self.server.most_open, self.server.open)
        try:
            act(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with self.server.lock:
                self.server.open -= 1

    def do_HEAD(self) -> None:
        """Headers alone, which no plan disturbs: what the host announces is true."""
        with self.server.lock:
            self.server.num_heads += 1
        if not self.server.answers_heads:
            self.refuse(501)
        elif self.server.read(self.path) is None:
            self.refuse(404)
        else:
            self.begin()

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def body(self) -> bytes:
        return self.server.read(self.path) or b""

    def begin(self, *, tag: str = '"one"', length: int | None = None) -> bytes:
        """Send the headers; give what is to follow."""
        body, asked = self.body, self.headers.get("Range")
        first = int(asked.split("=")[1].rstrip("-")) if asked and self.headers.get("If-Range") == tag else 0
        if first and first >= len(body):
            self.refuse(416, Content_Range=f"bytes */{len(body)}", ETag=tag)
            return b""
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body) - first if length is None else length))
        self.end_headers()
        return body[first:]

    def refuse(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


class Host(ThreadingHTTPServer):
    """Serves what `read` gives for a path, None being 404, and remembers who asked for what."""

    daemon_threads = True

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.read = read
        self.lock = threading.Lock()
        self.plan: list[Act] = []
        self.asked: list[tuple[str, str | None, float]] = []
        self.agents: set[str | None] = set()
        self.open = self.most_open = self.num_heads = 0
        self.answers_heads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def serving(read: Callable[[str], bytes | None]) -> Iterator[Host]:
    with Host(read) as host:
        thread = threading.Thread(target=host.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield host
        finally:
            host.shutdown()
            thread.join()


@contextmanager
def receiving(answer: bytes = b"", status: int = 200, *, first: int = 0) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one answer to whatever is posted: its address, and what was posted so far.

    The `first` posts are taken with status 200, whatever the status of those that follow.
    """
    posted: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status if len(posted) > first else 200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", posted
        finally:
            server.shutdown()
            thread.join()


def whole(handler: Handler) -> None:
    if handler.server.read(handler.path) is None:
        handler.refuse(404)
    else:
        handler.wfile.write(handler.begin())


def cut_after(num_bytes: int) -> Act:
    def act(handler: Handler) -> None:
        handler.wfile.write(handler.begin()[:num_bytes])
        handler.wfile.flush()
        handler.close_connection = True

    return act


def refusing(status: int, **headers: str) -> Act:
    return lambda handler: handler.refuse(status, **headers)


def stalling(handler: Handler) -> None:
    handler.wfile.write(handler.begin()[:1000])
    handler.wfile.flush()
    time.sleep(2)
    handler.close_connection = True


def announcing(more: int) -> Act:
    """Announce more bytes than there are."""

    def act(handler: Handler) -> None:
        handler.wfile.write(handler.begin(length=len(handler.body) + more))
        handler.close_connection = True

    return act
