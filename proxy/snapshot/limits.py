"""Limits: everything that a peer can make the proxy hold, do or wait for, with its default and its reason."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from proxy.snapshot.fields import Count, Duration, Rate, Size
from proxy.snapshot.part import Part

DAY = 86400.0


class Limits(Part):
    """The bounds of one proxy process. Times are seconds, sizes octets."""

    head: Annotated[Size, Field(ge=1024, le=1 << 20)] = 32 << 10
    """Octets of a request head. CloudFront sends up to 20,480; most apps stop at 8 to 64 KiB themselves."""

    fields: Annotated[Count, Field(ge=8, le=4096)] = 128
    """Header fields of a request: CDNs add about twenty, and each one costs more than its octets."""

    handshake_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = 10.0
    """From accept to the end of the TLS handshake. CloudFront gives an attempt 10 s; nobody honest needs more."""

    head_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = 15.0
    """From the first octet of a request to the end of its head: what ends a slow-drip client."""

    idle_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = 130.0
    """Between two requests. CloudFront keeps at most 120 s: who closes first must be the client, or a request is
    lost in the crossing."""

    body_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = 60.0
    """Without any octet of a request body that is under way."""

    write_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = 60.0
    """Without the client taking any octet of a response: what ends a client that never reads."""

    upstream_connect_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = 5.0
    """To connect to a server that sits beside the proxy; well inside the 10 s that a CDN waits."""

    upstream_response_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = 60.0
    """From the request's end to the response's head, and between any two pieces of the response."""

    connections: Annotated[Count, Field(ge=1, le=1_000_000)] = 10_000
    """Client connections at a time. Idle ones take up to 45 KB each: 450 MB in the worst case."""

    handshakes: Annotated[Count, Field(ge=1, le=100_000)] = 1_000
    """Handshakes under way at a time: each costs most of a millisecond of CPU, so this is a second's worth."""

    handshake_rate: Rate = None
    """Handshakes a second of one client address, None for no limit. Off by default: behind a NAT or a TCP load
    balancer all clients share one address."""

    drain_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = 30.0
    """For requests under way when the proxy is told to stop; the usual grace of container platforms."""

    withdrawal_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = 30.0
    """For a request under way whose client is no longer admitted, where the route lets it finish: as for a drain."""

    cached_verdicts: Annotated[Count, Field(ge=16, le=1_000_000)] = 20_000
    """Verdicts kept by client certificate and gate. A CDN has a handful of certificates; a fleet, some thousands."""
