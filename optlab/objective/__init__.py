"""The objective J on ``theta [R, P]``: losses of R runs on a batch, their gradients, and the
generators and devices they use.
"""
