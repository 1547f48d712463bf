"""Splitting a dataset's chips into train, validate and test: methods, folds, and the report of what leaks."""
