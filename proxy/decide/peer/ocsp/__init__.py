"""OCSP: asking a responder whether one certificate is revoked, and what its answer is worth (RFC 6960)."""
