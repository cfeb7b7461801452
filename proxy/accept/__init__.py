"""The client side of a connection: admit it, shake hands, read requests."""
