"""OptLab: a laboratory in which deep-learning optimization can be seen.

The organizing idea: the parameters of R runs are one tensor ``theta`` of shape ``[R, P]``. A run is
R = 1; a race, a sweep, many seeds are R > 1; and an update rule is a pure function on rows of that
tensor.
"""

__version__ = "0.1.0"
