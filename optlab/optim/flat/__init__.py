"""Steps of a torch optimizer in flat memory.

A rule calls a dozen operations, and on lists of small tensors the calls take longer than the
arithmetic. So its operations are listed once (:mod:`listing`), each gets memory that stays
(:mod:`placing`), and they are executed on blocks in which many parameters lie side by side
(:mod:`block`). The operations are those of the rule, one by one, and so are all bits: whether a step
is taken here changes nothing but its time. The parameters themselves stay where they are.
"""
