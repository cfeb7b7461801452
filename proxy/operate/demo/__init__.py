"""The demo: a PKI, an app, the real proxy between them, and a table of what must come of each request."""

from proxy.operate.demo.demo import run_demo

__all__ = ["run_demo"]
