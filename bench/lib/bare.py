"""An HTTP server that reads a request and answers it, and nothing else: what a round trip costs at least.

`python -m bench.lib.bare PORT`
"""

import asyncio
import sys

import uvloop

_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except asyncio.IncompleteReadError:
            break
        length = next((line[15:] for line in head.split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        await reader.readexactly(int(length))
        writer.write(_ANSWER)
    writer.close()


async def serve(port: int) -> None:
    """Until it is killed."""
    server = await asyncio.start_server(_talk, "127.0.0.1", port)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
