"""The vocabulary: one builder and reader per kind of object, the `lab:` extension and validation."""
