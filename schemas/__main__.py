"""`python -m schemas` writes the generated documents."""

from __future__ import annotations

import sys

from schemas.documents import write

for path in write():
    sys.stderr.write(f"wrote {path}\n")
