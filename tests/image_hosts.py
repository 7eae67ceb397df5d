"""A web of images on the loopback in which everything goes wrong that can, and a place that must never be asked."""

import asyncio
import gzip
import io
import ssl
import struct
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web
from PIL import Image


def picture(number: int, side: int = 32, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (number % 256, number // 256 % 256, 99)).save(file, kind)
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of 30,000 x 30,000 pixels in some hundred kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compressobj(1)
    body = b"".join(pixels.compress(bytes(3751)) for _ in range(30_000)) + pixels.flush()
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


class ImageHosts:
    """Two servers that may be asked, one of them over TLS that nobody vouches for, and one that may not."""

    def __init__(self) -> None:
        self.port = self.tls_port = self.forbidden_port = 0
        self.asked: Counter[str] = Counter()
        self.forbidden: list[str] = []
        self.open: Counter[str] = Counter()
        self.most_open = 0
        self.agents: set[str] = set()
        self.targets: list[str] = []
        self._bomb = bomb()
        self._gzip_bomb = gzip.compress(bytes(100 << 20), 1)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def allowed(self) -> frozenset[tuple[str, int]]:
        return frozenset({("127.0.0.1", self.port), ("127.0.0.1", self.tls_port)})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind, _, name = request.path.strip("/").partition("/")
        self.asked[request.path] += 1
        self.agents.add(request.headers.get("User-Agent", ""))
        self.open[request.host] += 1
        self.most_open = max(self.most_open, *self.open.values())
        try:
            return await self._answer(request, kind, name)
        finally:
            self.open[request.host] -= 1

    async def forbid(self, request: web.Request) -> web.StreamResponse:
        self.forbidden.append(request.path)
        return web.Response(body=picture(1))

    async def _answer(self, request: web.Request, kind: str, name: str) -> web.StreamResponse:  # noqa: PLR0911
        match kind:
            case "ok":
                return web.Response(body=picture(int(name)), content_type="image/jpeg")
            case "signed":  # whoever signs a path compares it to the letter
                self.targets.append(request.raw_path)
                return web.Response(status=203, body=picture(4))
            case "partial":
                return web.Response(status=206, body=picture(4))
            case "slow":
                await asyncio.sleep(0.1)
                return web.Response(body=picture(int(name)))
            case "status":
                return web.Response(status=int(name.partition("/")[0]))
            case "busy":  # twice, then it gives
                if self.asked[request.path] <= 2:
                    return web.Response(status=503, headers={"Retry-After": "0"})
                return web.Response(body=picture(7))
            case "moody":
                return web.Response(
                    status=404, headers={"Retry-After": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}
                )
            case "html":
                return web.Response(text="<html>no image</html>", content_type="image/jpeg")
            case "bomb":
                return web.Response(body=self._bomb)
            case "gzip":
                return web.Response(body=self._gzip_bomb, headers={"Content-Encoding": "gzip"})
            case "large":
                return web.Response(body=bytes(4 << 20))
            case "noai":
                return web.Response(body=picture(3), headers={"X-Robots-Tag": "noai"})
            case "archived":  # as a web archive hands on what the original said
                return web.Response(body=picture(3), headers={"X-Archive-Orig-X-Robots-Tag": "noai"})
            case "noml":
                return web.Response(body=picture(3), headers={"X-Robots-Tag": "noml, noarchive"})
            case "untrained":
                return web.Response(body=picture(3), headers={"Content-Usage": "search=y, train-ai=n"})
            case "reserved":
                return web.Response(body=picture(3), headers={"TDM-Reservation": "1"})
            case "to":
                return web.Response(status=302, headers={"Location": _TARGETS[name].format(**vars(self))})
            case "loop":
                raise web.HTTPFound(f"/loop/{int(name) + 1}")
            case "nowhere":
                return web.Response(status=302)
        return await self._stream(request, kind)

    async def _stream(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse()
        if kind == "cut":
            response.content_length = 100_000
        await response.prepare(request)
        if kind == "cut":
            await response.write(b"x" * 500)
            assert request.transport is not None
            request.transport.abort()
        while kind == "endless":
            await response.write(bytes(1 << 16))
        while kind == "drip":
            await response.write(b"x")
            await asyncio.sleep(0.2)
        return response


_TARGETS = {
    "ok": "/ok/5",
    "signed": "../signed\\a b//http%3A%2F%2Fcdn.example%2Fé.jpg?it%27s='#top",
    "forbidden_port": "http://127.0.0.1:{forbidden_port}/secret",
    "forbidden_name": "http://localhost:{forbidden_port}/secret",
    "forbidden_address": "http://127.0.0.2:{forbidden_port}/secret",
    "metadata": "http://169.254.169.254/latest/meta-data",
    "mapped": "http://[::ffff:127.0.0.1]:{forbidden_port}/secret",
    "file": "file:///etc/passwd",
    "data": "data:image/png;base64,AAAA",
    "user": "http://me:secret@127.0.0.1:{port}/ok/5",
    "garbage": "http://[::1",
}


@contextmanager
def image_hosts(folder: Path) -> Iterator[ImageHosts]:
    hosts = ImageHosts()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runners: list[web.AppRunner] = []

    async def start() -> None:
        for handler, tls in ((hosts.answer, None), (hosts.answer, _certificate(folder)), (hosts.forbid, None)):
            app = web.Application()
            app.router.add_get("/{path:.*}", handler)
            runners.append(web.AppRunner(app, access_log=None, shutdown_timeout=0.1))
            await runners[-1].setup()
            await web.TCPSite(
                runners[-1], "0.0.0.0" if handler == hosts.forbid else "127.0.0.1", 0, ssl_context=tls
            ).start()
        hosts.port, hosts.tls_port, hosts.forbidden_port = (runner.addresses[0][1] for runner in runners)

    async def stop() -> None:
        for runner in runners:
            await runner.cleanup()

    asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield hosts
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _certificate(folder: Path) -> ssl.SSLContext:
    """A certificate that its own host signed."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
