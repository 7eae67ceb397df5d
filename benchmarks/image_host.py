"""Serve as many different JPEGs as are asked for on the loopback, at little cost, from a process of its own."""

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any
from urllib.request import urlopen

import numpy as np

SIDE, BAND = 96, 16
"""Pixels of a picture's side, and of the rows that are coded together."""
NUM_DRAWN = 256
NUM_BANDS = SIDE // BAND
COPIES = 10
"""Of so many pictures the last has the pixels of the one before it, in other bytes."""


class Pictures:
    """JPEGs put together of bands: each is coded by itself, between restart markers, so any bands make a picture."""

    def __init__(self) -> None:
        from PIL import Image  # noqa: PLC0415

        generator = np.random.default_rng(0)
        drawn: list[bytes] = []
        for _ in range(NUM_DRAWN):
            noise = Image.fromarray(generator.integers(0, 256, (6, 6, 3), np.uint8)).resize((SIDE, SIDE))
            file = io.BytesIO()
            noise.save(file, "JPEG", quality=90, restart_marker_rows=1)
            drawn.append(file.getvalue())
        scan = drawn[0].index(b"\xff\xda")
        self._head = drawn[0][2 : scan + 2 + int.from_bytes(drawn[0][scan + 2 : scan + 4])]
        self._bands: list[list[bytes]] = [_split_bands(jpeg[2 + len(self._head) : -2]) for jpeg in drawn]

    def encode(self, number: int) -> bytes:
        """The picture of this number, whose bytes are no other's."""
        comment = b"%012d" % number
        like = number - 1 if number % COPIES == COPIES - 1 else number
        chosen = np.random.default_rng(like).integers(0, NUM_DRAWN, NUM_BANDS)
        bands = [self._bands[drawn][band] for band, drawn in enumerate(chosen)]
        scan = b"".join(band + b"\xff%c" % (0xD0 + at) for at, band in enumerate(bands[:-1])) + bands[-1]
        segments = [b"\xff\xd8\xff\xfe", (len(comment) + 2).to_bytes(2), comment, self._head, scan, b"\xff\xd9"]
        return b"".join(segments)


@contextmanager
def image_host() -> Iterator[str]:
    """Its root: `<root>/<number>.jpg` are pictures, `<root>/asked` says for how many it was asked."""
    context = get_context("spawn")
    ports: Any = context.Queue()
    server = context.Process(target=_serve, args=(ports,), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{ports.get(timeout=60)}"
    finally:
        server.kill()
        server.join()


def count_asked(root: str) -> int:
    """For how many pictures the host was asked."""
    with urlopen(f"{root}/asked") as answer:
        return int(answer.read())


def _split_bands(scan: bytes) -> list[bytes]:
    starts = [at for at in range(len(scan) - 1) if scan[at] == 0xFF and 0xD0 <= scan[at + 1] <= 0xD7]
    return [scan[start:end] for start, end in zip([0, *(at + 2 for at in starts)], [*starts, len(scan)], strict=True)]


def _serve(ports: Any) -> None:
    asyncio.run(_listen(ports))


async def _listen(ports: Any) -> None:
    pictures, asked = Pictures(), [0]
    server = await asyncio.get_running_loop().create_server(
        lambda: _Asked(pictures, asked), "127.0.0.1", 0, backlog=512
    )
    ports.put(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Asked(asyncio.Protocol):
    """One connection, on which a request follows the other."""

    def __init__(self, pictures: Pictures, asked: list[int]) -> None:
        self._pictures, self._asked, self._came = pictures, asked, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        while b"\r\n\r\n" in self._came:
            head, _, self._came = self._came.partition(b"\r\n\r\n")
            name = head.split(b" ", 2)[1].rpartition(b"/")[2]
            if name == b"asked":
                body, kind = b"%d" % self._asked[0], b"text/plain"
            else:
                self._asked[0] += 1
                body, kind = self._pictures.encode(int(name.removesuffix(b".jpg"))), b"image/jpeg"
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(body), body)
            )
