"""Kill a broker hundreds of times under orders, queries and performed steps, and say what was lost.

    python tests/endurance/kill.py --kills 300 --database sqlite
    python tests/endurance/kill.py --kills 300 --database postgresql

``postgresql`` is a server of its own that is removed in the end.  Ends with 1 where anything was lost or doubled.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from endurance.campaign import Campaign, Moments, kill_often
from endurance.postgres import making
from endurance.ris import Ris
from endurance.serving import Serving


def main() -> int:
    """Run a campaign and print what it came to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1, help="of exams and moments")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mwl-kill-")))
        if asked.database == "sqlite":
            database = f"sqlite:///{folder / 'mwl.db'}"
        else:
            database = stack.enter_context(making()).make("mwl")
        moments = Moments()
        ris = Ris(moments.told)
        stack.callback(ris.close)
        serving = Serving(folder / "broker", database, ris=ris.port)
        stack.callback(serving.close)
        campaign = Campaign(asked.seed, serving.address, moments, ris, database)
        result = kill_often(serving, campaign, kills=asked.kills, seed=asked.seed, progress=_progress)
    print(result)
    for each in result.wrong[:50]:
        print("!", each)
    return 1 if result.wrong else 0


def _progress(kills: int) -> None:
    if sys.stderr.isatty() or kills % 25 == 0:
        print(f"{kills} kills", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
