"""The window of watched runs."""
