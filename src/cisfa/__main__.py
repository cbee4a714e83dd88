"""``python -m cisfa``, the form in which other programs start this one."""

import sys

from cisfa.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
