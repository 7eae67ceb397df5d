"""An S3 server on the loopback, and a proxy before it that fails requests by a plan or by chance."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "lake"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDSHOWNNOWHERE", "AWS_SECRET_ACCESS_KEY": "secret-shown-nowhere"}
FAULTS = ("500", "500 but done", "503", "409", "cut", "cut but done", "slow", "timeout")
READ_TIMEOUT = 2.0

Plan = Callable[[str, str], str | None]
"""Of a request's method and path, the fault that it meets."""


class Handler(BaseHTTPRequestHandler):
    """Passes a request on, or fails it before or after the server has done it."""

    protocol_version = "HTTP/1.1"
    server: "Proxy"

    def do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            fault = self.server.plan(self.command, self.path)
            self.server.met[fault or "none"] += 1
            self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        if fault == "409" and "If-None-Match" not in self.headers:
            fault = None
        if fault in ("500", "503", "409"):
            self._refuse(fault)
            return
        if fault == "cut":
            self.close_connection = True
            return
        status, headers, answer = self._ask(body)
        if fault == "500 but done":
            self._refuse("500")
            return
        if fault in ("slow", "timeout"):
            time.sleep(0.2 if fault == "slow" else READ_TIMEOUT + 0.5)
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date"):
                self.send_header(name, value)
        length = dict(headers).get("Content-Length", str(len(answer)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(answer)))
        self.end_headers()
        if fault == "cut but done":
            self.wfile.write(answer[: len(answer) // 2])
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815  # http.server's names

    def log_message(self, *_: Any) -> None:
        pass

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        guard = self.server.writing if "If-None-Match" in self.headers else threading.Lock()
        with guard:  # moto looks first and writes then; S3 does both at once
            upstream = HTTPConnection(*self.server.upstream)
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            parts = answer.status, answer.getheaders(), answer.read()
            upstream.close()
        return parts

    def _refuse(self, status: str) -> None:
        code = {"500": "InternalError", "503": "SlowDown", "409": "ConditionalRequestConflict"}[status]
        body = (
            b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        )
        self.send_response(int(status))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Proxy(ThreadingHTTPServer):
    """Remembers what was asked for, and how often each fault was met."""

    daemon_threads = True

    def __init__(self, upstream: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = upstream
        self.lock, self.writing = threading.Lock(), threading.Lock()
        self.plan: Plan = no_faults
        self.met: Counter[str] = Counter()
        self.asked: list[tuple[str, str, str | None]] = []

    @property
    def options(self) -> dict[str, Any]:
        """fsspec's storage options to reach the server through this."""
        url = f"http://127.0.0.1:{self.server_address[1]}"
        return {"endpoint_url": url, "config_kwargs": {"read_timeout": READ_TIMEOUT}}

    def start_anew(self) -> "Proxy":
        """As it was at first, for another test of the same server."""
        self.plan = no_faults
        self.met.clear()
        self.asked.clear()
        return self

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


def no_faults(method: str, path: str) -> None:
    """All goes well."""


def by_chance(seed: int, rate: float) -> Plan:
    """Any fault, with a probability."""
    draw = random.Random(seed)
    return lambda method, path: draw.choice(FAULTS) if draw.random() < rate else None


def once(fault: str, method: str, part: str) -> Plan:
    """The first request of a method whose path has this part meets the fault."""
    left = [fault]
    return lambda asked, path: left.pop() if left and asked == method and part in path else None


@contextmanager
def serving() -> Iterator[Proxy]:
    """A proxy before a server with an empty bucket; what the requests need of the environment is the caller's."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
        aws_access_key_id="key", aws_secret_access_key="secret",
    )  # fmt: skip
    client.create_bucket(Bucket=BUCKET)
    with Proxy((host, port)) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield proxy
        proxy.shutdown()
    server.stop()


@contextmanager
def serving_by_environment() -> Iterator[Proxy]:
    """A proxy before a server, with keys and address in the environment, where fsspec finds them."""
    with pytest.MonkeyPatch.context() as environment, serving() as proxy:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": proxy.options["endpoint_url"]}.items():
            environment.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        yield proxy
        fsspec.get_filesystem_class("s3").clear_instance_cache()
