"""Versions of a dataset: what is in them, how they differ, and how they get to other places."""
