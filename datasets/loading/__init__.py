"""Chips as frameworks take them: PyTorch, Lightning, TensorFlow, scikit-learn."""
