"""Takes the pictures of docs/mlflow.md: MLflow's page on a study, by `archfront ui` and headless Chromium.

    python -m docs.mlflow_pictures runs/quickstart [--port 5055]

It writes docs/mlflow-VIEW.png for the front, the trials and the learning curves.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tests.support.browser import headless
from trials.tracking.mlflow_views import CURVES_VIEW, FRONT_VIEW, TABLE_VIEW

HERE = Path(__file__).resolve().parent
DRAWN_SECONDS = 20.0
"""Time for the page to ask for its runs and to draw them."""


def main() -> None:
    """Serve, look, write."""
    parser = argparse.ArgumentParser(description="Takes the pictures of docs/mlflow.md.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="directory of a study")
    parser.add_argument("--port", type=int, default=5055, metavar="N", help="port on localhost (default %(default)s)")
    options = parser.parse_args()
    command = [sys.executable, "-m", "archfront", "ui", str(options.directory), "--port", str(options.port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, headless() as browser:
        assert server.stderr is not None
        addresses = {TABLE_VIEW: server.stderr.readline().split()[3]}
        addresses |= dict(server.stderr.readline().split() for _ in range(3))
        browser.set_window_size(1680, 940)
        for kind in (FRONT_VIEW, TABLE_VIEW, CURVES_VIEW):
            browser.get("about:blank")
            browser.get(addresses[kind])
            time.sleep(DRAWN_SECONDS)
            closed = "document.querySelector('[aria-label=\"Close\"]')?.click(); return 0"  # the panel of MLflow's assistant
            browser.execute_script(closed)
            time.sleep(2)
            browser.save_screenshot(str(HERE / f"mlflow-{kind}.png"))
        server.terminate()


if __name__ == "__main__":
    main()
