"""Where notifications arrive: a real HTTP server, one that hangs, a real mail server."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve


@dataclass(frozen=True, slots=True)
class Got:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    """Names in small letters."""
    body: bytes


@dataclass
class Web:
    """An HTTP server on the loopback; answers what `answers` says, in turn, then 200."""

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    certificate: Path | None = None
    """PEM of key and certificate: TLS."""
    reply: Callable[[Got], bytes] | None = None
    got: list[Got] = field(default_factory=list)

    def __enter__(self) -> Web:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                outer.got.append(got)
                status, headers, answer = outer.answers.pop(0) if outer.answers else (200, {}, b"")
                if status == 200 and outer.reply is not None:
                    answer = outer.reply(got)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        scheme = "https" if self.certificate is not None else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"


class Hangs:
    """Accepts connections and never says a word."""

    def __enter__(self) -> Hangs:
        self._socket = socket.create_server(("127.0.0.1", 0))
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"


class Mail:
    """A mail server on the loopback that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append(envelope.original_content)
        return "250 kept"

    def __enter__(self) -> Mail:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=port)
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def port(self) -> int:
        return int(self._controller.port)


class FakeSlack:
    """Slack as far as Socket Mode and chat.postMessage go: its web API over HTTP, a websocket that speaks its envelopes
    (docs.slack.dev, Using Socket Mode)."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.acknowledged: list[str] = []
        self._sockets: list[ServerConnection] = []

    def __enter__(self) -> FakeSlack:
        self._server = serve(self._talk, "127.0.0.1", 0)
        self._port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._web = Web(reply=self._reply)
        self._web.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._web.__exit__()
        for each in self._sockets:
            each.close()
        self._server.shutdown()
        self._thread.join()

    @property
    def api(self) -> str:
        """Base address of the web API."""
        return f"{self._web.url}/api/"

    @property
    def connected(self) -> bool:
        return bool(self._sockets)

    def _reply(self, got: Got) -> bytes:
        self.tokens.append(got.headers.get("authorization", ""))
        if got.path.endswith("/apps.connections.open"):
            return json.dumps({"ok": True, "url": f"ws://127.0.0.1:{self._port}/link"}).encode()
        if got.path.endswith("/chat.postMessage"):
            self.messages.append(json.loads(got.body))
        return b'{"ok": true}'

    def _talk(self, socket: ServerConnection) -> None:
        socket.send(json.dumps({"type": "hello", "num_connections": 1}))
        self._sockets.append(socket)
        with contextlib.suppress(ConnectionClosed):
            for text in socket:
                self.acknowledged.append(json.loads(text)["envelope_id"])

    def buttons(self, request: str) -> dict[str, dict[str, Any]]:
        """The buttons of the message about that request, by action."""
        for message in self.messages:
            for block in message["blocks"]:
                if block["type"] == "actions" and block["block_id"] == f"decide {request}":
                    return {each["action_id"]: each for each in block["elements"]}
        return {}

    def press(self, button: dict[str, Any], user: str, envelope: str = "e-1", **changes: Any) -> None:
        """What Slack sends when somebody presses it."""
        action = {"action_id": button["action_id"], "value": button["value"], "type": "button"}
        payload = {"type": "block_actions", "user": {"id": user}, "actions": [action], **changes}
        said = {"type": "interactive", "envelope_id": envelope, "payload": payload, "accepts_response_payload": False}
        self._sockets[-1].send(json.dumps(said))
