"""Whether the verdicts of the claims stay when the claims are repeated on fresh seeds.

Every claim whose verdict is not undecided is conducted again from other master seeds, 5 for the
quick claims and 1 for the long ones; the share of verdicts that stay should be at least 95 %. The
verdicts that they are compared with are those that ship (``resources/claims/found.json``).

    python tests/benchmarks/bench_claims.py [--masters 5] [--only K9 P4 …] [--quick] [--json]

Results are kept in the data folder (``OPTLAB_HOME``), so that an interrupted benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from optlab.studies.claims import shipped
from optlab.studies.claims.found import found

GOAL = 0.95


def repeated(identity: str, first: int) -> dict[str, Any]:
    """Conduct a claim from a master seed, in a process of its own."""
    command = [sys.executable, "-m", "optlab", "claim", identity, "--first", str(first), "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ)
    if done.returncode != 0:
        return {"verdict": None, "control": None, "reason": done.stderr.strip()}
    (document,) = json.loads(done.stdout)
    return {key: document[key] for key in ("verdict", "control", "effect", "seconds")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 where too few verdicts stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masters", type=int, default=5, help="master seeds of the quick claims")
    parser.add_argument("--only", nargs="*", default=[], help="ids of claims")
    parser.add_argument("--quick", action="store_true", help="the quick claims only")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rows = []
    for identity, before in found().items():
        quick = shipped.claim(identity).quick
        if (options.only and identity not in options.only) or (options.quick and not quick):
            continue
        if before["verdict"] == "undecided":
            continue
        for first in range(1, 1 + (options.masters if quick else 1)):
            again = repeated(identity, first)
            stays = again["verdict"] == before["verdict"]
            rows.append({"claim": identity, "first": first, "stays": stays, **again})
            if not options.json:
                print(
                    f"{identity:4} seed {first}: {before['verdict']} → {again['verdict']}, control "
                    f"{again['control']}",
                    flush=True,
                )
    share = sum(row["stays"] for row in rows) / len(rows) if rows else 0.0
    if options.json:
        print(json.dumps({"share": share, "goal": GOAL, "repetitions": rows}, indent=1))
    else:
        print(f"{share:.1%} of {len(rows)} verdicts stay; the goal is {GOAL:.0%}.")
    return int(share < GOAL)


if __name__ == "__main__":
    sys.exit(main())
