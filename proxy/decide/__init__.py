"""The judges: values in, a verdict out. No loop, socket, TLS connection, clock, environment or logger."""
