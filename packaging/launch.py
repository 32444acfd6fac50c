"""The packaged program's first file: the same entry as the ``optlab`` command."""

import sys

from optlab.entry import main

if __name__ == "__main__":
    sys.exit(main())
