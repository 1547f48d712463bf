"""Writing over HTTP: the transactions of the STAC API, on top of `writing` and `writing_collections`."""
