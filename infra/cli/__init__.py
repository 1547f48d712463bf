"""The command line, `terralab`."""
