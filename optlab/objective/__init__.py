"""The objective J on ``theta [R, P]``: losses of R runs on a batch, gradients and Hessians.

The generators that runs draw from and the devices that they compute on are here, too.
"""
