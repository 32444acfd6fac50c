"""Whatever comes from outside and is read without trust.

Data files and models of the user's own, and runs that other programs have recorded.
"""
