"""Decisions of people on labels that the quality run doubts."""
