"""Decisions of people on labels that a quality run doubts."""
