"""Getting imagery: connectors to providers, reading windows of remote files, and scenes made of them."""
