"""Certificate revocation lists (RFC 5280, sections 5 and 6.3): read once, checked before use, then looked up."""
