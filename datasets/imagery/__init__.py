"""Asking for imagery: where, when, of which modality; what was found, and how dates of several sensors go together."""
