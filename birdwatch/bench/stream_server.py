"""An HTTP server of live streams on loopback: `python -m birdwatch.bench.stream_server FILE SECONDS SPREAD`.

Every connection gets the audio file FILE, which lasts SECONDS, at the speed at which it sounds. It begins up to SPREAD
seconds later, each at another moment: windows of independent streams do not end together. The first line that it prints
is the port.
"""

from __future__ import annotations

import asyncio
import re
import sys
from itertools import count, pairwise
from pathlib import Path

__all__ = ["serve"]

# How often a piece is sent: as an encoder at the other end would.
PIECE_S = 0.1
# Multiples of it are spread evenly over 0..1, however many there are.
GOLDEN = 0.6180339887
# Of an Opus stream: its parameters and its tags.
HEADER_PAGES = 2
HEADER = b"HTTP/1.0 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"


async def serve(path: Path, seconds: float, spread_s: float) -> None:
    """Serve until the process is ended."""
    data = path.read_bytes()
    pieces = _pages(data) if path.suffix == ".ogg" else _parts(data, max(1, round(len(data) * PIECE_S / seconds)))
    numbers = count()
    kind = b"audio/ogg" if path.suffix == ".ogg" else b"audio/wav"

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(spread_s * (next(numbers) * GOLDEN % 1.0))
            writer.write(HEADER % kind)
            loop = asyncio.get_running_loop()
            due = loop.time()
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                due += PIECE_S
                await asyncio.sleep(max(0.0, due - loop.time()))
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(stream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _pages(data: bytes) -> list[bytes]:
    """Ogg's pages, which last for PIECE_S each, the headers with the first: an encoder sends a page when it is full.

    Parts of equal size would drift against the pages, and now and then be late by a whole one.
    """
    starts = [found.start() for found in re.finditer(b"OggS", data)]
    return [data[start:end] for start, end in pairwise([0, *starts[HEADER_PAGES + 1 :], len(data)])]


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
