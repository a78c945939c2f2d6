"""``python -m tests.corpora [-v]``: the shares, and with -v what was read otherwise."""

import sys

from tests.corpora.agreement import measure, told

found = measure()
print(told(found))
if "-v" in sys.argv:
    print("\n".join(found.apart))
