"""The web app: `python app.py`, then open http://127.0.0.1:7860. `--help` lists the settings."""

from __future__ import annotations

import logging
import os
import sys

from cnet_app.settings import process_variables, read_settings, without_surroundings
from models.console import replace_unprintable, restart_in_utf8
from models.errors import USER_ERRORS, exit_code


def main() -> int:
    """Serve until interrupted; return the exit code."""
    restart_in_utf8()
    replace_unprintable()
    settings = read_settings()
    os.environ |= process_variables(settings)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from cnet_app.ui.importing import check_temporary_folder, without_garbage_collection, without_stub_files

    try:
        check_temporary_folder()
        with without_garbage_collection(), without_stub_files(), without_surroundings():
            from cnet_app.jobs.create import create_runner
            from cnet_app.ui.app import serve

        serve(settings, *create_runner(settings))
    except USER_ERRORS as error:
        print(error, file=sys.stderr)
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
