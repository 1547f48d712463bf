"""What is known of a dataset's quality: measures of every chip, findings, the level, and the report."""
