"""The truth: settings, errors, pgstac, the asset store, publishing, lineage and the STAC API."""
