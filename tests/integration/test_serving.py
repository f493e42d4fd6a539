"""What the web process listens with."""

import asyncio
import socket

from qdrant_rollouts.interfaces.http import serving


def test_answers_are_sent_at_once_and_wait_for_no_ack():
    async def of_a_connection(door):
        found = asyncio.get_running_loop().create_future()

        async def met(reader, writer):
            found.set_result(
                writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            )
            writer.close()

        async with await asyncio.start_server(met, sock=door):
            _, writer = await asyncio.open_connection(*door.getsockname())
            known = await found
            writer.close()
            await writer.wait_closed()
        return known

    with serving.bind_socket(None, None, "127.0.0.1", 0) as door:
        assert asyncio.run(of_a_connection(door))
