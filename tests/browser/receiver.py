"""A shop's own system that a webhook calls, on a real port."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import override


class Receiver(ThreadingHTTPServer):
    """A shop's own system: out of order until it is told otherwise."""

    answers = 500

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class Answering(BaseHTTPRequestHandler):
    """Says what its receiver says."""

    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.answers)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass
