"""Write what was found of the claims to the file that ships, from the stored studies.

``python tools/found_claims.py`` reads the data folder (``OPTLAB_HOME``), ``python
tools/found_claims.py FOLDER…`` several ones. What the file has of claims that are not stored stays,
unless their protocol has changed since. Nothing in the file is typed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from optlab.core import paths, toml
from optlab.store import Store
from optlab.studies.claims import shipped
from optlab.studies.claims.claim import Claim
from optlab.studies.claims.conducting import stored
from optlab.studies.claims.found import found
from optlab.studies.claims.outcome import outcome
from optlab.studies.comparison.protocols import settled
from optlab.studies.found_file import NAME


def protocol(claim: Claim) -> str:
    """Return a hash of what a claim does, which changes with its protocol and not with its words."""
    both = [settled(toml.parse(study.to_toml())) for study in (claim.study, claim.control)]
    return hashlib.sha256(json.dumps(both, sort_keys=True).encode()).hexdigest()


def main(folders: list[Path]) -> int:
    """Write the file; return how many claims it has."""
    documents: dict[str, dict[str, Any]] = {}
    claims = shipped.claims()
    before = found()
    for claim in claims:
        known = before.get(claim.id)
        if known is not None and known["protocol"] == protocol(claim):
            documents[claim.id] = dict(known)
    for folder in folders:
        with Store.open_readonly(folder) as store:
            for claim in claims:
                study, control = stored(store, claim)
                if study and control and study.result and control.result:
                    document = outcome(claim, study, control).document()
                    del document["studies"]
                    documents[claim.id] = {**document, "protocol": protocol(claim)}
    ordered = [documents[claim.id] for claim in claims if claim.id in documents]
    text = json.dumps(ordered, indent=1, ensure_ascii=False) + "\n"
    (paths.claims() / NAME).write_text(text, encoding="utf-8")
    missing = [claim.id for claim in claims if claim.id not in documents]
    print(f"{len(ordered)} claims; without a result: {', '.join(missing) or 'none'}")
    return len(ordered)


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]] or [paths.home()])
