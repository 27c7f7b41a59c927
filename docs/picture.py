"""Draws the README's picture from a study's directory: python docs/picture.py runs/quickstart (needs Chromium, as the page tests do)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from analysis.report.figures import figure_page, front_figures
from trials.reporting.stored_study import read_study

PICTURE = Path(__file__).with_name("front.png")
SIZE = "1100,545"


def main(directory: Path) -> None:
    """Write docs/front.png anew."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("docs/picture.py needs chromium on the PATH, found none; install it (Debian: apt-get install chromium)")
    stored = read_study(directory)
    figure = next(iter(front_figures(stored.records, stored.front, stored.membership).values()))
    page = figure_page(figure)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "front.html"
        file.write_text(page, encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE}", "--virtual-time-budget=8000"]
        subprocess.run([browser, *options, f"--screenshot={PICTURE}", file.as_uri()], check=True, stderr=subprocess.DEVNULL)
    print(PICTURE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
