"""A client of the bridge over a bare socket, for what no HTTP client would do."""

from __future__ import annotations

import socket

from tests.bridge.process import signed

PATH = "/consume-reservation"
PATIENCE_S = 40.0


def head(body: bytes = b"", *lines: str, path: str = PATH, method: str = "POST") -> bytes:
    """The head of a request that is signed for `body`, up to its empty line; `lines` are more headers."""
    headers = [f"{name}: {value}" for name, value in {"Host": "x", **signed(method, path, body)}.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *headers, *lines, "", ""]).encode()


def connect(address: tuple[str, int]) -> socket.socket:
    """A connection that waits PATIENCE_S at most."""
    return socket.create_connection(address, PATIENCE_S)


def read_answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """One response: its head, and its body by its Content-Length; both empty when the bridge has closed."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        chunk = connection.recv(65_536)
        if not chunk:
            return answer, b""
        answer += chunk
    first, _, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in first.lower().splitlines() if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0].split(b":")[1]):
        body += connection.recv(65_536)
    return first, body
