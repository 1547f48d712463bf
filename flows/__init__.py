"""Prefect flows by name; each is a list of named steps over plain functions."""
