"""``python -m kktdiff``."""

import sys

from kktdiff._cli import main

if __name__ == "__main__":
    sys.exit(main())
