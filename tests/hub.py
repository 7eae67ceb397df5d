"""A hub on the loopback: the part of the Hugging Face Hub's API that uploads use, and what it may answer instead."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_ThisIsNoRealToken"


class Hub(ThreadingHTTPServer):
    """Repositories by name, each with files by path; `plan` has what the next requests to a path are answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.commits = 0
        self.asked: list[tuple[str, str, int]] = []
        self.plan: list[tuple[str, int]] = []
        """Patterns of `METHOD path`, each with the status that is answered once; 0 cuts the connection."""
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def received(self) -> int:
        """Bytes of files that arrived, large ones and those within commits."""
        return sum(size for kind, _, size in self.asked if kind == "file")

    def next_status(self, request: str) -> int | None:
        """What the plan has for this request."""
        with self.lock:
            for number, (pattern, status) in enumerate(self.plan):
                if re.search(pattern, request):
                    del self.plan[number]
                    return status
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._read())

    def do_PUT(self) -> None:
        self._answer(self._read())

    def log_message(self, *_: Any) -> None:
        pass

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size + 2)[:size]
        self.rfile.readline()
        return body

    def _answer(self, body: bytes) -> None:
        path = self.path.partition("?")[0]
        status = self.server.next_status(f"{self.command} {path}")
        with self.server.lock:
            self.server.asked.append((self.command, path, len(body)))
        if status == 0:
            self.close_connection = True
            self.connection.close()
        elif status:
            self._send(status, {"error": f"planned {status}"})
        elif path.startswith("/objects/"):
            self._store(path.removeprefix("/objects/"), body)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid username or password."})
        else:
            self._route(path, json.loads(body) if body and "/commit/" not in path else body)

    def _route(self, path: str, body: Any) -> None:
        if path == "/api/repos/create":
            name = f"{body['type']}s/{body['organization']}/{body['name']}"
            is_new = name not in self.server.repositories
            self.server.repositories.setdefault(name, {".gitattributes": b""})
            self.server.private |= {name} if body.get("visibility") == "private" else set()
            self._send(200 if is_new else 409, {"url": f"{self.server.url}/{name}", "error": "it exists"})
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif path.endswith("/info/lfs/objects/batch"):
            self._send(200, {"objects": [*map(self._offer, body["objects"])]})
        elif parts := re.fullmatch(r"/api/((?:dataset|model)s/[^/]+/[^/]+)(/.*)?", path):
            self._route_repository(parts[1], parts[2] or "", body)
        else:
            self._send(404, {"error": path})

    def _route_repository(self, name: str, rest: str, body: Any) -> None:
        files = self.server.repositories.get(name)
        if files is None:
            self._send(404, {"error": "not found"})
        elif rest.startswith("/preupload"):
            self._send(200, {"files": [self._judge(file["path"], files) for file in body["files"]]})
        elif rest.startswith("/commit"):
            self._commit(name, files, body)
        elif rest.startswith("/tree"):
            entries = [{"type": "file", "path": path, "size": 1, "oid": "0"} for path in files]
            self._send(200, entries)
        else:
            self._send(200, {"id": name.partition("/")[2], "sha": f"{self.server.commits:040x}"})

    def _judge(self, path: str, files: dict[str, bytes]) -> dict[str, Any]:
        is_large = path.endswith((".parquet", ".safetensors"))
        content = files.get(path)
        oid = None
        if content is not None:
            blob = b"blob %d\0" % len(content) + content
            oid = hashlib.sha256(content).hexdigest() if is_large else hashlib.sha1(blob).hexdigest()
        return {"path": path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False, "oid": oid}

    def _offer(self, listed: dict[str, Any]) -> dict[str, Any]:
        if listed["oid"] in self.server.objects:
            return listed
        return {**listed, "actions": {"upload": {"href": f"{self.server.url}/objects/{listed['oid']}"}}}

    def _store(self, oid: str, body: bytes) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        with self.server.lock:
            self.server.objects[oid] = body
            self.server.asked.append(("file", oid, len(body)))
        self._send(200, {})

    def _commit(self, name: str, files: dict[str, bytes], body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
                self.server.asked.append(("file", value["path"], len(files[value["path"]])))
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.server.commits += 1
        commit = f"{self.server.commits:040x}"
        self._send(
            200, {"commitUrl": f"{self.server.url}/{name.removeprefix('models/')}/commit/{commit}", "commitOid": commit}
        )

    def _send(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """A hub without repositories."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
