"""Catalog data in and out: bulk load, export to files, import from them."""
