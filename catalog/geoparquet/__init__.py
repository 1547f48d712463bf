"""STAC items as stac-geoparquet files (specification 1.1.0 over GeoParquet 1.1.0), and back without loss.

Nothing is changed silently: what columns cannot hold of an item (whether a number was written `1` or `1.0`, a null
beside missing fields, a property named `id`) goes into one further column, `terralab:exact`, of the few items that need
it.
"""
