"""The comparison: originward beside nginx, HAProxy, Envoy, Caddy and Apache on one machine, in one run."""
