"""A cluster of machines by Dask, behind the same interface as a thread and a process."""
