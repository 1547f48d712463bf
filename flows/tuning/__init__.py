"""What the tune flow drives: templates, training, measures, baselines and checkpoints."""
