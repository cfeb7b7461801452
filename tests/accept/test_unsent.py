"""What a client has not taken yet."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.accept.unsent import unsent

LARGE = 32 * 1024 * 1024


@pytest.mark.parametrize("read", [50_000, 200_000])
def test_what_the_peer_reads_is_seen_at_once(read: int) -> None:
    """Also where our own buffer does not shrink yet; in the end nothing is left."""

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
            peer, _ = listener.accept()
            with peer:
                transport.write(bytes(LARGE))
                whole = unsent(transport)
                assert whole > transport.get_write_buffer_size()
                left = LARGE
                while unsent(transport) >= whole:  # the peer's kernel opens the window when it sees fit
                    left -= len(peer.recv(read))
                assert left > 0
                peer.setblocking(False)
                while left:
                    left -= len(await loop.sock_recv(peer, 1 << 20))
                while unsent(transport):  # until the kernel's last acknowledgement
                    continue
                transport.close()
                await asyncio.sleep(0)
                assert unsent(transport) == 0

    asyncio.run(scenario())
