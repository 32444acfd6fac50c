"""History: any step of a stored run, and what begins or is explained there.

A run keeps snapshots evenly spaced over its steps. Any other step is reached from the nearest one
before it by the same session that trained the run, with the messages that the run received, so that
the result is the same bit for bit.
"""
