"""The demo: a PKI, an app, the real proxy between them, and a table of what must come of each request."""
