"""The window in which methods race on functions of one and two variables."""
