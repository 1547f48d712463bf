"""From which value on a measure of a chip is worth a look. The page `docs/quality.md` explains them."""

CLOUDY = 0.3
EMPTY = 0.5
SATURATED = 0.02
SHIFTED = 2.0
"""Pixels between a label and the place where it fits best."""
BLURRED_SIGMAS = 4.0
BLURRED_BELOW = 0.25
"""A chip is blurred where its sharpness is this part of the dataset's median, and so many deviations below it."""
IMBALANCED = 50.0
"""Pixels of the commonest class for one of the rarest."""
ONE_PLACE = 0.8
"""Share of the chips in one cluster."""
