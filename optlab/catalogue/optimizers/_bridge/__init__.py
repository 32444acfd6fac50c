"""Any ``torch.optim.Optimizer`` as a component: what its constructor takes becomes fields, what it
remembers becomes state.

Bottom to top: :mod:`signatures` reads what a constructor takes, :mod:`table` keeps that for torch's
own classes (so that listing them does not import torch), :mod:`fields` turns arguments into fields
and back, :mod:`execution` steps real torch optimizers on ``theta [R, P]``, :mod:`rules` makes the
component classes, :mod:`words` describes torch's own, and :mod:`discovery` says which classes there
are.
"""
