"""One reader for each form in which people have datasets; each gives the same table of samples."""
