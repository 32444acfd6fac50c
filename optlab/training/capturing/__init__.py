"""Captured steps: the operations of a step are recorded once and repeated on tensors that stay.

A step of a small network is a few dozen short operations of torch, and most of its time passes
between them: in Python, in new views and in new memory. All steps of a run with batches of one
shape consist of the same operations, so they are recorded once (:mod:`trace`), given memory that
stays (:mod:`program`) and repeated (:mod:`captured_steps`). The operations and their order are the
same, and so are all bits; no compiler is needed.
"""
