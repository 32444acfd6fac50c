"""What the command line and the window both ask for: one function each, rendered twice."""
