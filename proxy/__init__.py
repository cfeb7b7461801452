"""originward: an origin-side mTLS verifying reverse proxy.

Start reading at :mod:`proxy.connection`, the table of contents of a connection's life.
"""

__version__ = "0.1.0"
