"""A headless Chromium that opens a page offline, runs a script in it, and tells what happened.

Tests that need it skip, and say so, where no browser is found.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

TRIES = 4

BEFORE = """
window.troubles = [];
for (const kind of ["error", "unhandledrejection", "securitypolicyviolation"])
  window.addEventListener(kind, (event) =>
    window.troubles.push(kind + ": " + (event.message || event.reason || event.blockedURI || event.target)), true);
"""

AFTER = """
window.addEventListener("load", async () => {
  let seen = {};
  try { seen = await (async () => { %s })(); }
  catch (error) { window.troubles.push(String(error)); }
  seen.troubles = window.troubles;
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  seen.fetched = loaded.filter((name) => !name.startsWith("data:"));
  document.body.dataset.seen = JSON.stringify(seen);
});
"""


def browser() -> str:
    """The browser's path; skips the test where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium (or CHROMIUM=its path); none was found")
    return found


def chromium(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess:
    """Open `page` with the network cut off; `profile` is a folder for the browser's own files."""
    fixed = ["--headless", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--enable-logging=stderr"]
    cut_off = ["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--disable-sync"]
    # a container's root may not use the sandbox; the page is our own
    sandbox = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
    command = [browser(), *fixed, *cut_off, *sandbox, f"--user-data-dir={profile}", *options, page.resolve().as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def visit(page: Path, script: str, folder: Path) -> dict[str, Any]:
    """Open a copy of `page`, run `script` (the body of an async function) in it, and return what it returned.

    Beside that, `troubles` are the errors, and `fetched` what was loaded from outside the page; `console` is
    what the page wrote there.
    """
    text = page.read_text(encoding="utf-8")
    copy = folder / "visited.html"
    opened = text.replace("<style>", f"<script>{BEFORE}</script><style>", 1)
    ending = opened.rindex("</body>")
    copy.write_text(f"{opened[:ending]}<script>{AFTER % script}</script>{opened[ending:]}", encoding="utf-8")
    # on a busy machine the browser may dump the page before the script has answered: its time is virtual
    for attempt in range(TRIES):
        done = chromium(copy, folder / f"profile-{attempt}", "--virtual-time-budget=60000", "--dump-dom")
        found = re.search(r'data-seen="([^"]*)"', done.stdout)
        if found:
            break
    assert found, done.stderr[-2000:]
    seen = json.loads(html.unescape(found[1]))
    seen["console"] = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return seen
