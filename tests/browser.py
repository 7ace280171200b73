"""A page opened in headless Chromium, for tests of pages: what it writes down, and the log."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


def browse(path: Path, profile: Path, *options: str, milliseconds: int = 5000) -> tuple[Any, str]:
    """Open a page without a window and without a network.

    Parameters
    ----------
    path : of a page that writes JSON into its ``<pre id="found">``
    profile : folder of the browser's own files
    options : further ones of the browser
    milliseconds : virtual time that the page has

    Returns
    -------
    what it wrote, and the browser's log
    """
    assert BROWSER is not None
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND", *options),
            *(f"--user-data-dir={profile}", f"--virtual-time-budget={milliseconds}"),
            *("--enable-logging=stderr", "--v=0", "--dump-dom", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    return json.loads(unescape(found[1])), done.stderr
