"""The window in which the loss around a run's weights is looked at: slices, lines, the Hessian's
spectrum, the critical point nearby.
"""
