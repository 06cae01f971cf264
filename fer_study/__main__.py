"""Let ``python -m fer_study`` do what the command ``fer-study`` does."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
