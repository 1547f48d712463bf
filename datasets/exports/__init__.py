"""A frozen version in the forms of other programs: Croissant, Hugging Face, TACO, TerraTorch, stac-geoparquet."""
