"""Everything that can be picked, one idea a file, in the order of the chapter."""
