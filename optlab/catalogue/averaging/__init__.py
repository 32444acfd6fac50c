"""Averaging of the iterates: a smoother point beside the last one."""
