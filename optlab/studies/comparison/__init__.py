"""Questions over many runs: arms, seeds, effects with intervals, and verdicts."""
