"""``python -m optlab``: the same as ``optlab``."""

import sys

from optlab.entry import main

if __name__ == "__main__":
    sys.exit(main())
