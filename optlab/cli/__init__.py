"""The command line: one file a command, over the same engine and store as the window."""
