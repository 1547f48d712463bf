"""What `terralab.extensions.validation` checks, one concern in a module; none of it reads a file or the network."""
