"""What the flow `onboard` consists of."""
