"""Claims: statements of the notes, put to the test.

A claim is a study that ships, with the statement that it tests, the place of the statement in the
notes, reasons for its protocol, and a negative control. Its verdict holds here: at this size, with
these data and this budget.
"""
