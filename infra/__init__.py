"""How the lab runs: the command line, the local stack and its supervision."""
