"""Pretraining: hidden layers learned one after another before the training proper begins."""
