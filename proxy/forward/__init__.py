"""The origin side of a connection: pooled connections to the app, responses relayed."""
