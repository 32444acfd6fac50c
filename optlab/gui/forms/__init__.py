"""Forms: editors derived from the fields that components declare."""
