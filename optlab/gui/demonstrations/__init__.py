"""The window of the benches: statements of the notes put to the test, one at a time."""
