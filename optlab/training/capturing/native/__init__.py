"""Recorded steps in C++: the operations between which the interpreter would stand, in one function.

Numbers are those of torch up to rounding, since sums have another order; what is not known here is
left to torch.
"""
