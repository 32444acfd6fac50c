"""Models and optimizers of the user's own.

Classes in Python files or installed modules, registered and confirmed on this machine.

An experiment file can name such a component but never bring it: nothing of it is read, let alone
executed, unless the user has registered it here and its file is still the one that was confirmed.
"""
