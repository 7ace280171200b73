"""Open a page in headless Chromium, for tests of HTML pages."""

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
    path : Path
        A page that writes JSON into its ``<pre id="result">``.
    profile : Path
        Folder of the profile of the browser.
    *options : str
        Further command-line options of the browser.
    milliseconds : int, default 5000
        Virtual time budget of the page.

    Returns
    -------
    result : object
        JSON value that the page wrote.
    log : str
        The log of the browser.
    """
    assert BROWSER is not None
    process = subprocess.run(
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
    match = re.search(r'<pre id="result">(.*?)</pre>', process.stdout, flags=re.DOTALL)
    assert match is not None, process.stdout
    return json.loads(unescape(match[1])), process.stderr
