"""A headless Chromium that opens pages, and tells what it shows and what went wrong on its console."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("quic", "background-networking", "component-update", "sync", "gpu", "dev-shm-usage")
OPTIONS = ["--headless", "--no-sandbox", "--no-first-run", "--hide-scrollbars", *(f"--disable-{it}" for it in QUIET)]
KEYS = {"Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
HARMLESS = re.compile("Download the Apollo DevTools")
# Past the pipe's ends, which Chromium wants as descriptors 3 and 4.
START = 'told=$1 tells=$2; shift 2; exec "$@" 3<&"$told" 4>&"$tells"'


class Browser:
    """One tab, told over a pipe what to do (Chrome DevTools Protocol)."""

    def __init__(self, tells: int, hears: int) -> None:
        self.console: list[str] = []
        """Errors and exceptions since the last `open`."""
        self._tells, self._hears = tells, hears
        self._heard, self._number, self._session = b"", 0, ""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, url: str, *, width: int = 1600, height: int = 2400) -> None:
        """Go to a page."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._ask("Page.navigate", url="about:blank")
        self.console.clear()
        self._ask("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """What a script gives in the page."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 30.0) -> None:
        """Wait until a script gives something true; fails with what the page says if it does not."""
        deadline = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < deadline, f"never came true: {script}\n{self.run('document.body.innerText')}"
            time.sleep(0.2)

    def says(self, text: str) -> None:
        """Wait until the page shows a text."""
        self.until(f"document.body.innerText.includes({json.dumps(text)})")

    def settle(self) -> None:
        """Wait until the page says the same for a second."""
        before, now = "", self.run("document.body.innerText")
        while now != before:
            time.sleep(1.0)
            before, now = now, self.run("document.body.innerText")

    def click(self, text: str) -> None:
        """Press what bears just this text; of things inside each other, the inmost."""
        self.until(
            "(() => { const found = [...document.querySelectorAll('body *')].reverse().find(it => "
            f"it.innerText?.trim() === {json.dumps(text)}); found?.click(); return !!found; }})()"
        )

    def press(self, key: str) -> None:
        """Press a key, such as ArrowRight, on what has the focus."""
        more = {"windowsVirtualKeyCode": KEYS[key], "code": key, **({"text": "\r"} if key == "Enter" else {})}
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, **more)

    def prefer(self, mode: str) -> None:
        """Say that the reader likes pages `dark` or `light`."""
        self._ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._tells, json.dumps(asked).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message}"
                return dict(message["result"])
            self._note(message)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._heard:
            assert select.select([self._hears], [], [], 60)[0], "the browser does not answer"
            part = os.read(self._hears, 1 << 20)
            assert part, "the browser has ended"
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\0")
        return dict(json.loads(line))

    def _note(self, message: dict[str, Any]) -> None:
        of = message.get("params", {})
        said = {
            "Runtime.exceptionThrown": lambda: json.dumps(of["exceptionDetails"]),
            "Runtime.consoleAPICalled": lambda: json.dumps(of["args"]) if of["type"] in ("error", "assert") else "",
            "Log.entryAdded": lambda: json.dumps(of["entry"]) if of["entry"]["level"] == "error" else "",
        }.get(message.get("method", ""), str)()
        if said and not HARMLESS.search(said):
            self.console.append(said)


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """A browser whose profile is a folder; where there is none, the test fails."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail(f"none of {', '.join(NAMES)} is on this machine: apt-get install chromium, as .ci/run does")
    (order_reader, order_writer), (answer_reader, answer_writer) = os.pipe(), os.pipe()
    command = [program, *OPTIONS, f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", START, "bash", str(order_reader), str(answer_writer), *command],
        pass_fds=(order_reader, answer_writer),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(order_reader)
    os.close(answer_writer)
    try:
        yield Browser(order_writer, answer_reader)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(order_writer)
        os.close(answer_reader)
