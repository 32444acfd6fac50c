"""Whatever comes from outside and is read without trust: data files and models of the user's own."""
