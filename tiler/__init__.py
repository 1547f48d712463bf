"""Map tiles, legends and the map page for whatever the catalog holds."""
