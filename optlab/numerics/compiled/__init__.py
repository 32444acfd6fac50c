"""Elementwise operations as one loop, compiled where there is a C++ compiler.

Torch executes one operation after the other, and each of them goes through memory once. A loop that
executes them all for one element before the next reads and writes everything once. It does the same
operations in the same order, so its results have the same bits.
"""
