"""What the command line and the window have in common: one function each, shown in both."""
