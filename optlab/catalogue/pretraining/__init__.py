"""Pretraining: hidden layers are trained one by one before the main training starts."""
