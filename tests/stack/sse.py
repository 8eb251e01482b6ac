"""A plain reader of server-sent events: a socket, HTTP/1.1 by hand and the few rules of the format."""

import contextlib
import json
import socket
import threading
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from stack import wait_until


@dataclass
class Sent:
    id: str | None
    type: str | None
    data: str

    @property
    def event(self):
        return json.loads(self.data)


@dataclass
class Parser:
    """By the rules of the HTML standard, 9.2.6; what is commented is kept too."""

    events: list = field(default_factory=list)
    comments: list = field(default_factory=list)
    last_id: str | None = None
    retry: int | None = None
    _rest: bytes = b""
    _type: str | None = None
    _data: list = field(default_factory=list)

    def feed(self, chunk):
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line.decode())

    def _line(self, line):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            self._dispatch()
        elif not name:
            self.comments.append(value)
        elif name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id":
            self.last_id = value
        elif name == "retry":
            self.retry = int(value)

    def _dispatch(self):
        if self._data:
            self.events.append(Sent(self.last_id, self._type, "\n".join(self._data)))
        self._data, self._type = [], None


class EventStream:
    """GET /api/v1/docket/events: opened at once; a thread reads unless `slow`, when take() does, as much as it is told.

    with EventStream(api, type="docket.request.created") as stream: stream.wait(1)

    last_event_id is a header, again the parameter of the query that says the same.
    """

    def __init__(self, api, last_event_id=None, slow=False, receive_buffer=None, method="GET", again=None, **query):
        address = urlsplit(api.url)
        self.parser = Parser()
        self.ended = None  # True: as it should; False: cut off
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(60)
        self._socket.connect((address.hostname, address.port))
        self._stream = self._socket.makefile("rb", buffering=0)
        headers = {"Host": address.netloc, "Accept": "text/event-stream"}
        if "Authorization" in api.session.headers:
            headers["Authorization"] = api.session.headers["Authorization"]
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        query |= {} if again is None else {"last_event_id": again}
        target = "/api/v1/docket/events" + (f"?{urlencode(query, doseq=True)}" if query else "")
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        self._open()
        if self.status == 200 and not slow and method == "GET":
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()

    def _open(self):
        head = self._line().split()
        self.status = int(head[1])
        self.headers = {}
        while line := self._line():
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.text = ""
        if length := self.headers.get("content-length"):
            self.text = self._exactly(int(length)).decode()

    def _exactly(self, size):
        parts = []
        while size:
            part = self._stream.read(size)
            if not part:
                raise ConnectionError("the connection ended amid a chunk")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _line(self):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self._exactly(1)
        return line[:-2].decode()

    def chunk(self):
        """The next chunk of the answer; b"" is its end."""
        size = int(self._line(), 16)
        content = self._exactly(size)
        self._line()
        return content

    def take(self):
        """One chunk, parsed; False at the end."""
        content = self.chunk()
        self.parser.feed(content)
        if not content:
            self.ended = True
        return bool(content)

    def _read(self):
        try:
            while self.take():
                pass
        except (OSError, ValueError):
            self.ended = self.ended or False

    @property
    def events(self):
        return list(self.parser.events)

    @property
    def last_id(self):
        return self.parser.last_id

    def wait(self, count, timeout=20):
        """The events once there are as many."""
        wait_until(lambda: len(self.parser.events) >= count or self.ended is not None, timeout,
                   lambda: f"{count} events, there are {len(self.parser.events)}")
        assert len(self.parser.events) >= count, f"ended after {len(self.parser.events)} events"
        return self.events

    def wait_for(self, condition, timeout=20):
        """The first event of which it is true."""
        return wait_until(lambda: next((sent for sent in self.events if condition(sent)), None), timeout,
                          lambda: f"an event, there are {[sent.type for sent in self.events]}")

    def wait_end(self, timeout=20):
        wait_until(lambda: self.ended is not None, timeout, "the stream to end")
        return self.ended

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
