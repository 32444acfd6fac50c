"""Any ``torch.optim.Optimizer`` as a component of the catalogue.

The arguments of its constructor become fields, its state becomes the state of a rule. From bottom
to top: :mod:`signatures` reads the arguments of a constructor, :mod:`table` stores them for torch's
own classes (so that listing them does not import torch), :mod:`fields` converts arguments to fields
and back, :mod:`containers` accesses the state of an optimizer, :mod:`execution` steps real torch
optimizers on ``theta [R, P]``, :mod:`rules` builds the component classes, :mod:`descriptions` holds
the page texts of torch's own, and :mod:`discovery` lists all classes.

Those of other packages and of the user may keep state anywhere: :mod:`tree` walks through it,
:mod:`entries` converts it, :mod:`draws` seeds what they draw, :mod:`calls` calls them,
:mod:`foreign` steps them, :mod:`foreign_rules` builds their classes, :mod:`trial` compares them with
a loop of plain torch, and :mod:`own` registers those of the user.
"""
