"""A server on loopback that answers every POST with what a test wants."""

from __future__ import annotations

import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Posts:
    """Serves while it is open as a context manager; a test's server says in `answer` what it does."""

    def __enter__(self) -> Self:
        posts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                status, body = posts.answer(self.path, self.headers, sent)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Its URL, without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, path: str, headers: Message, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a POST."""
        raise NotImplementedError
