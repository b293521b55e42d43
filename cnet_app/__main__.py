"""`python -m cnet_app`: the command line."""

import sys

from cnet_app.cli import main

if __name__ == "__main__":
    sys.exit(main())
