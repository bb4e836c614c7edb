"""A headless Chromium, driven through ChromeDriver by the W3C WebDriver protocol."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1600,1000",
)
OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
READY = "was started successfully on port "
TIMEOUT = 60  # seconds
KEY = "element-6066-11e4-a52e-4f735466cecf"
"""Name of an element's reference, fixed by the WebDriver standard."""


AT_REST = """
const [element, done] = arguments;
let before = "";
const poll = () => {
    const now = JSON.stringify(element.getBoundingClientRect());
    now === before ? done() : setTimeout(poll, 50);
    before = now;
};
poll();
"""
"""A click goes to a place: styles of the report that come late may move another thing there."""


class Browser:
    """A window without any network, with its own empty profile in `folder`."""

    def __init__(self, folder: Path) -> None:
        missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
        if missing:
            raise RuntimeError(
                f"{', '.join(missing)} not found; on Debian: apt install chromium chromium-driver"
            )
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.driver.stdout is not None
        line = next(line for line in self.driver.stdout if READY in line)
        port = int(line.split(READY)[1].strip(" .\n"))
        self.address = f"http://127.0.0.1:{port}/session"
        options = {
            "binary": shutil.which("chromium"),
            "args": [*FLAGS, f"--user-data-dir={folder}"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self._call("", {"capabilities": {"alwaysMatch": wanted}})
        self.address += f"/{session['sessionId']}"
        for command, settings in (
            ("Network.enable", {}),
            ("Network.emulateNetworkConditions", OFFLINE),
        ):
            self._call("/goog/cdp/execute", {"cmd": command, "params": settings})

    def open(self, page: Path) -> None:
        """Load a local file."""
        self._call("/url", {"url": page.resolve().as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page; give what it returns."""
        return self._call("/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, script: str, *arguments: Any) -> Any:
        """Wait until JavaScript, an expression, is true in the page; give its value."""
        loop = (
            "const [done, ...rest] = [arguments[arguments.length - 1], ...arguments];"
            f"const test = (...args) => ({script});"
            "const poll = () => {const v = test(...rest); v ? done(v) : setTimeout(poll, 20)};"
            "poll();"
        )
        return self._call("/execute/async", {"script": loop, "args": list(arguments)})

    def click(self, xpath: str) -> None:
        """Click the first element that an XPath expression finds, once it has stopped moving."""
        element = self._first(xpath)
        self._call("/execute/async", {"script": AT_REST, "args": [element]})
        self._call(f"/element/{element[KEY]}/click", {})

    @contextmanager
    def inside(self, xpath: str) -> Iterator[None]:
        """Run and click inside of the frame that an XPath expression finds."""
        self._call("/frame", {"id": self._first(xpath)})
        try:
            yield
        finally:
            self._call("/frame", {"id": None})

    def resize(self, metrics: dict[str, Any] | None) -> None:
        """Pretend that the window has other measures, or its own again."""
        command = "setDeviceMetricsOverride" if metrics else "clearDeviceMetricsOverride"
        message = {"cmd": f"Emulation.{command}", "params": metrics or {}}
        self._call("/goog/cdp/execute", message)

    def log(self, kind: str) -> list[dict[str, Any]]:
        """New entries of the log of the ``browser`` console or of ``performance``, the network."""
        return self._call("/se/log", {"type": kind})

    def close(self) -> None:
        """Close the window and end the driver."""
        try:
            self._call("", None, method="DELETE")
        finally:
            self.driver.terminate()
            self.driver.wait(TIMEOUT)

    def _first(self, xpath: str) -> dict[str, str]:
        found = self._call("/elements", {"using": "xpath", "value": xpath})
        assert found, f"nothing is at {xpath}"
        return found[0]

    def _call(self, path: str, body: Any, method: str = "POST") -> Any:
        request = urllib.request.Request(
            self.address + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise RuntimeError(f"{path}: {value['error']}: {value['message']}") from None
