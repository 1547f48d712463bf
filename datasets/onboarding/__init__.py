"""Onboarding: from the forms in which people have datasets to one table of samples, checked before it is stored."""
