"""Measure ourselves against recorded answers of a peer: `python -m tools.vectors FOLDER` (`make vectors`).

The folder is given from outside and nothing of it is kept here. Cases go through `turnout transform
--jsonl` and `turnout preview --jsonl`, like anyone's. A case leaves the count only through a
`deviations.yaml`: that of transformations/, or that of a destination's folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import destination_vectors, script_vectors

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Print tables and the first differences; 1 where too few of the cases are as expected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", default=[], help="scripts, or a destination's slug; may be repeated")
    parser.add_argument("--case", default="", help="only the case of this id, shown whole")
    parser.add_argument("-v", "--verbose", action="store_true", help="every difference")
    options = parser.parse_args(arguments)
    failed = 0
    if not options.case and (not options.only or "scripts" in options.only):
        failed |= script_vectors.measure(options.folder, verbose=options.verbose)
    slugs = [slug for slug in options.only if slug != "scripts"]
    if slugs or not options.only:
        failed |= destination_vectors.measure(options.folder, slugs, case=options.case, verbose=options.verbose)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
