"""The web app: `python app.py`, then open http://127.0.0.1:7860. `--help` lists the settings."""

from __future__ import annotations

import logging
import os
import sys

from cnet_app.settings import process_variables, read_settings, without_surroundings
from cnet_app.ui.stopping import Stop, until_stopped
from models.console import replace_unprintable, restart_in_utf8


def run(stop: Stop) -> None:
    """Serve until the stop."""
    replace_unprintable()
    settings = read_settings()
    os.environ |= process_variables(settings)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from cnet_app.ui.importing import check_temporary_folder, without_garbage_collection, without_stub_files

    check_temporary_folder()
    with without_garbage_collection(), without_stub_files(), without_surroundings():
        from cnet_app.jobs.create import create_runner
        from cnet_app.ui.app import serve

    serve(settings, *create_runner(settings), stop.wait)


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    restart_in_utf8()
    return until_stopped(run)


if __name__ == "__main__":
    sys.exit(main())
