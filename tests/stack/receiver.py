"""A webhook endpoint that does as it is told, one script a path, and remembers every call.

    receiver.script("/crm", Answer(503), Hang(), Reply("eligible"))

The first call gets the first behaviour and so on; the last one stays. A path without script answers 200 {}.
"""

import contextlib
import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stack import LOOPBACK, StackError, wait_until

REPLY_HEADERS = {
    "eligible": "reply-to-eligible",
    "not-eligible": "reply-to-not-eligible",
    "approve": "reply-to-approve",  # the older names of the same two
    "deny": "reply-to-deny",
    "resume": "reply-to",
}


@dataclass
class Call:
    """One request as it arrived. `headers` does not care for case."""

    method: str
    path: str
    headers: object
    body: bytes
    time: float
    behaviour: object = None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def request_id(self):
        return self.json["privacy_request_id"]


@dataclass
class Replied:
    """What came of one reply to the callback URL. status 0: no answer."""

    call: Call
    verdict: str
    status: int
    body: str


# --- behaviours: what is called with (receiver, handler, call) ---------------------------------------


@dataclass
class Answer:
    status: int = 200
    json: object = field(default_factory=dict)
    body: bytes | None = None  # instead of `json`
    headers: dict = field(default_factory=dict)
    delay: float = 0.0

    def __call__(self, receiver, handler, call):
        receiver.idle(self.delay)
        body = self.body if self.body is not None else json.dumps(self.json).encode()
        handler.send_response(self.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))} | self.headers
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


class Hang:
    """Takes the call and never answers, until the receiver closes or lets go."""

    def __call__(self, receiver, handler, call):
        receiver.idle(None)
        handler.close_connection = True


class Close:
    """Ends the connection without an answer; `reset` makes it a TCP reset."""

    def __init__(self, reset=False):
        self.reset = reset

    def __call__(self, receiver, handler, call):
        if self.reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
        handler.close_connection = True


def redirect(to, status=302):
    return Answer(status, headers={"Location": to})


@dataclass
class Reply:
    """Answers, then tells the verdict to the callback URL; `first` replies before it answers."""

    verdict: str = "eligible"
    body: dict = field(default_factory=dict)
    first: bool = False
    times: int = 1
    answer: Answer = field(default_factory=Answer)

    def __call__(self, receiver, handler, call):
        if not self.first:
            self.answer(receiver, handler, call)
            handler.wfile.flush()
        for _ in range(self.times):
            receiver.reply(call, self.verdict, self.body)
        if self.first:
            self.answer(receiver, handler, call)


# --- the receiver --------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        """A caller that hangs up is nothing to print a stack trace for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = Call(self.command, self.path, self.headers, body, time.time())
        self.server.receiver.handle(self, call)

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST


class Receiver:
    def __init__(self, callback_url=None, port=0):
        self.callback_url = callback_url
        self.calls_seen = []
        self.replies = []
        self._scripts = {}
        self._under_way = {}
        self._most_under_way = {}
        self._let_go = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server((LOOPBACK, port), _Handler)
        self._server.receiver = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path="/"):
        return f"http://{LOOPBACK}:{self.port}{path}"

    def close(self):
        self.let_go()
        self._server.shutdown()
        self._server.server_close()

    def script(self, path, *behaviours):
        with self._lock:
            self._scripts[path] = list(behaviours)
        return self.url(path)

    def let_go(self):
        """Ends every delay and hanging call."""
        self._let_go.set()
        self._let_go = threading.Event()

    def idle(self, seconds):
        self._let_go.wait(seconds)

    def handle(self, handler, call):
        path = call.path.partition("?")[0]
        with self._lock:
            script = self._scripts.get(path) or [Answer()]
            call.behaviour = script.pop(0) if len(script) > 1 else script[0]
            self.calls_seen.append(call)
            self._under_way[path] = self._under_way.get(path, 0) + 1
            self._most_under_way[path] = max(self._under_way[path], self._most_under_way.get(path, 0))
        try:
            call.behaviour(self, handler, call)
        except OSError:
            handler.close_connection = True  # the caller went away first
        finally:
            with self._lock:
                self._under_way[path] -= 1

    def calls(self, path=None, request_id=None):
        with self._lock:
            seen = list(self.calls_seen)
        return [call for call in seen
                if path in (None, call.path.partition("?")[0])
                and (request_id is None or call.request_id == request_id)]

    def wait_calls(self, count, path=None, request_id=None, timeout=15):
        """The calls, once there are at least `count`."""
        wait_until(lambda: len(self.calls(path, request_id)) >= count, timeout,
                   lambda: f"{count} calls of {path or 'the receiver'}, {len(self.calls(path, request_id))} came")
        return self.calls(path, request_id)

    def most_under_way(self, path):
        return self._most_under_way.get(path, 0)

    def reply(self, call, verdict, body=None, token=None, url=None):
        """Posts to the path that the call's reply header names, with the call's token."""
        path = call.headers.get(REPLY_HEADERS[verdict])
        if path is None:
            raise StackError(f"the call carries no {REPLY_HEADERS[verdict]} header")
        request = urllib.request.Request(
            url or f"{self.callback_url}/api/v1{path}",
            data=json.dumps(body or {}).encode(),
            headers={"Authorization": f"Bearer {token or call.headers.get('reply-to-token')}",
                     "Content-Type": "application/json"},
        )
        reply = Replied(call, verdict, *_send(request))
        with self._lock:
            self.replies.append(reply)
        return reply


def _send(request):
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
