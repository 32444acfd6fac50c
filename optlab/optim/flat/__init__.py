"""Steps of a torch optimizer in flat memory.

A rule calls a dozen operations, and on lists of small tensors the calls take longer than the
arithmetic. So its operations are listed once (:mod:`listing`), each gets memory that stays
(:mod:`placing`), and they are executed on blocks in which many parameters lie side by side
(:mod:`block`). In double precision the operations are those of the rule, one by one, and so are all
bits; in single precision some are taken together (:mod:`fusing`). The parameters themselves stay
where they are.
"""
