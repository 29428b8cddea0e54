"""``python -m ssmts`` is the command ``ssmts``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
