"""The web app: `python app.py`, then open http://127.0.0.1:7860. `--help` lists the settings."""

from __future__ import annotations

import logging
import os
import sys

from cnet_app.settings import process_variables, read_settings
from models.console import replace_unprintable
from models.errors import USER_ERRORS, exit_code


def main() -> int:
    """Serve until interrupted; return the exit code."""
    replace_unprintable()
    settings = read_settings()
    os.environ |= process_variables(settings)  # before gradio, which sends a request to its own address, is imported
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from cnet_app.ui.importing import without_garbage_collection, without_stub_files

    with without_garbage_collection(), without_stub_files():
        from cnet_app.engine.create import create_engine
        from cnet_app.engine.maps import maps_through
        from cnet_app.jobs.runner import Runner
        from cnet_app.maps.annotate import Maps, open_store
        from cnet_app.ui.app import serve

    try:
        engine = create_engine(settings)
        serve(settings, Runner(settings, engine), Maps(maps_through(engine), open_store(settings)))
    except USER_ERRORS as error:
        print(error, file=sys.stderr)
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
