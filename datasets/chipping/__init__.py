"""Making chips: places, dates and labels on one global grid."""
