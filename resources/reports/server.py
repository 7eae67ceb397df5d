"""Serve the reports of a folder on this machine's loopback, and nothing else of the disk."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_NAME = re.compile(r"/[\w-][\w.-]*\.(html|json)", re.ASCII)
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""As the pages say themselves: nothing is loaded, no script runs."""
_OWN_SCRIPT = re.compile(
    rb"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; (script-src 'sha256-[\w+/]{43}=');"
)
_HEAD = 1024
"""Bytes of a page in which its policy stands; whatever a crawl brought comes after it."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@contextmanager
def serve_reports(folder: Path, port: int) -> Iterator[int]:
    """Serve the HTML and JSON files of just this folder at 127.0.0.1 until the end of the block; gives the port.

    Raises OSError or OverflowError for a port that is not to be had.
    """
    with ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


class _Handler(SimpleHTTPRequestHandler):
    def send_head(self):  # type: ignore[no-untyped-def]  # a file, or None, as its caller knows
        # A page of somebody else's whose name leads to the loopback would come with another Host.
        if not _HOST.fullmatch(self.headers.get("Host", "")):
            return self.send_error(HTTPStatus.FORBIDDEN)
        if not _NAME.fullmatch(self.path) or Path(self.directory, self.path[1:]).is_symlink():
            return self.send_error(HTTPStatus.NOT_FOUND)
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", f"{_POLICY}{self._name_script()}")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def _name_script(self) -> str:
        """The one script that a page names by its hash in its first lines, which are its template's own."""
        page = Path(self.directory, self.path[1:])
        if not _NAME.fullmatch(self.path) or page.suffix != ".html" or page.is_symlink() or not page.is_file():
            return ""
        with page.open("rb") as file:
            named = _OWN_SCRIPT.search(file.read(_HEAD))
        return f"; {named[1].decode('ascii')}" if named else ""

    def log_message(self, *_: object) -> None:
        """Say nothing: who looks at a report is no event."""
