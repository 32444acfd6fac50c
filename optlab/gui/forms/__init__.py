"""Forms: editors generated from the fields that components declare."""
