"""The trainer: runs experiments on ``theta [R, P]`` and reports them as events. It knows no Qt and
no store.
"""
