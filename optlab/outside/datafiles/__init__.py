"""Files of the user's own with examples in them.

Each reader refuses in one sentence what it cannot use whole; none of them guesses or pads.
"""
