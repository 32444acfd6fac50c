"""Write what was found of shipped studies to the file that ships, from the stored studies.

``python tools/found_studies.py NAME…`` reads the newest finished study of each name from the data
folder (``OPTLAB_HOME``), ``--from FOLDER`` from another one. What the file has of other studies
stays, unless their protocol has changed since. Nothing in the file is typed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from optlab.core import paths
from optlab.store import Store
from optlab.studies.comparison import reading, shipped
from optlab.studies.comparison.found import fingerprint, found, found_document
from optlab.studies.found_file import NAME


def main(arguments: list[str] | None = None) -> int:
    """Write the file; return how many studies it has."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--from", dest="folders", action="append", type=Path, metavar="FOLDER")
    asked = parser.parse_args(arguments)
    documents: dict[str, dict[str, Any]] = {}
    for path in shipped.files():
        known = found().get(path.stem)
        if known is not None and known["protocol"] == fingerprint(reading.load(path)):
            documents[path.stem] = dict(known)
    for folder in asked.folders or [paths.home()]:
        with Store.open_readonly(folder) as store:
            for name in asked.names:
                study = reading.named(name)
                record = next(
                    (
                        one
                        for one in store.studies()
                        if one.name == name
                        and one.status == "finished"
                        and fingerprint(reading.from_toml(one.document)) == fingerprint(study)
                    ),
                    None,
                )
                if record is not None:
                    documents[name] = found_document(name, study, record)
    ordered = [documents[name] for name in sorted(documents)]
    text = json.dumps(ordered, indent=1, ensure_ascii=False) + "\n"
    (paths.studies() / NAME).write_text(text, encoding="utf-8")
    missing = [name for name in asked.names if name not in documents]
    print(f"{len(ordered)} studies; without a result: {', '.join(missing) or 'none'}")
    return len(ordered)


if __name__ == "__main__":
    main()
