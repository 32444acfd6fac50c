"""Captured steps: the operations of a step are recorded once and repeated on tensors that stay.

A step of a small network is a few dozen short operations of torch, and most of its time passes
between them: in Python, in new views and in new memory. All steps of a run with batches of one
shape consist of the same operations, so they are recorded once (:mod:`trace`), given memory that
stays (:mod:`program`) and repeated (:mod:`captured_steps`). The operations and their order are the
same, and so are all bits; no compiler is needed.

On a GPU the time passes in the launches of these operations, and nothing may be read in between. A
block of steps is captured there as one graph (:mod:`graph`), with the batches, the check for finite
values and the numbers that differ from step to step (:mod:`number_table`) inside (:mod:`step_block`),
and launched as a whole where no one looks at single steps (:mod:`step_blocks`). This has not been
run on a GPU: tests execute it on the CPU and on a simulated device.
"""
