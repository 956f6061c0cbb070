"""Headless Chromium over the DevTools protocol: what looking at a page and using it takes."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

PROGRAM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
SECONDS = 60.0  # for whatever is waited for; a busy machine is slow
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "Escape": (27, "")}
CONTROL = 2


class Tab:
    """One page: what it is told to do, and all that it asked for and complained of."""

    def __init__(self, socket: ClientConnection):
        self._socket = socket
        self._number = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer; what happens meanwhile is kept in `events`."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            said = json.loads(self._socket.recv(timeout=SECONDS))
            if said.get("id") == self._number:
                assert "error" not in said, said["error"]
                return said["result"]
            self.events.append(said)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; `$` finds an element by selector, `$$` all."""
        answer = self.call(
            "Runtime.evaluate",
            **{"expression": expression, "returnByValue": True, "includeCommandLineAPI": True},
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of an expression in the page, once it is true of something."""
        end = time.monotonic() + SECONDS
        while not (value := self.evaluate(expression)) and value != {}:  # an element, by value
            assert time.monotonic() < end, f"never: {expression}\n{self.text()}\n{self.errors()}"
            time.sleep(0.02)
        return value

    def go(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self._socket.recv(timeout=SECONDS)))

    def text(self, selector: str = "body") -> str:
        """What a reader sees of the first such element; nothing where there is none."""
        return self.evaluate(f"$({json.dumps(selector)})?.innerText ?? ''")

    def fill(self, selector: str, text: str) -> None:
        """Replace what stands in a field, as by typing."""
        self.evaluate(f"$({json.dumps(selector)}).select()")
        self.call("Input.insertText", text=text)

    def press(self, key: str, modifiers: int = 0) -> None:
        code, text = KEYS[key]
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        typed = {} if modifiers else {"text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector: str) -> None:
        """A click with the mouse, in the middle of the element."""
        x, y = self.evaluate(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })"
            f"($({json.dumps(selector)}))"
        )
        common = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **common)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **common)

    def resize(self, width: int, height: int = 800) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def prefer(self, **features: str) -> None:
        """What the user prefers, such as `color_scheme="dark"`."""
        named = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value}
            for name, value in features.items()
        ]
        self.call("Emulation.setEmulatedMedia", features=named)

    def screenshot(self, path: Path) -> None:
        """The whole page, not only the part in sight."""
        image = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(image))

    def requested(self) -> list[str]:
        """The address of every request so far."""
        return [
            event["params"]["request"]["url"]
            for event in self._so_far()
            if event["method"] == "Network.requestWillBeSent"
        ]

    def errors(self) -> list[str]:
        """What the page threw, and what the browser holds against it."""
        found = []
        for event in self._so_far():
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(params["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] == "error":
                found.append(json.dumps(params["args"]))
        return found

    def _so_far(self) -> list[dict[str, Any]]:
        self.evaluate("0")  # the answer comes behind all that happened before
        return self.events


class Browser:
    """A running Chromium; every tab is a page of its own."""

    def __init__(self, address: str):
        self._address = address

    @contextmanager
    def tab(self, width: int = 1200) -> Iterator[Tab]:
        target = httpx.put(f"{self._address}/json/new?about:blank", timeout=SECONDS).json()
        with connect(target["webSocketDebuggerUrl"], max_size=None, open_timeout=SECONDS) as socket:
            tab = Tab(socket)
            tab.wait_for("document.readyState == 'complete'")
            tab.resize(width)
            tab.call("Emulation.setScrollbarsHidden", hidden=True)
            tab.call("Emulation.setFocusEmulationEnabled", enabled=True)  # whatever is in front
            yield tab
            tab.call("Page.close")


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Chromium with a fresh profile, which talks to nobody of its own accord."""
    assert PROGRAM is not None
    process = subprocess.Popen(
        [
            PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={profile}", "--remote-debugging-port=0",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = profile / "DevToolsActivePort"
        end = time.monotonic() + SECONDS
        while not (port.is_file() and len(told := port.read_text().splitlines()) == 2):
            assert process.poll() is None and time.monotonic() < end, "Chromium does not start"
            time.sleep(0.05)
        yield Browser(f"http://127.0.0.1:{told[0]}")
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)
