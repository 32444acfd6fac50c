"""The update rules on functions of one and two variables: races of many starts, and critical
points.
"""
