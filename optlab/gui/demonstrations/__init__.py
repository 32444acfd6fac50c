"""The window of the demonstrations, each of which tests a statement of the notes."""
