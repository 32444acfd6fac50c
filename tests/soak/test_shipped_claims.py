"""The claims that ship, each to the verdict that was found of it: about an hour on two cores.

What was found is no opinion: a claim whose verdict changes has changed, or the engine has.
"""

from __future__ import annotations

import json

import pytest

from optlab.cli.app import main
from optlab.studies.claims.found import found

pytestmark = pytest.mark.soak

FOUND = found()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("identity", FOUND)
def test_that_a_claim_comes_to_its_verdict(
    identity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["claim", identity, "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["verdict"] == FOUND[identity]["verdict"]
    assert document["control"] == FOUND[identity]["control"]
