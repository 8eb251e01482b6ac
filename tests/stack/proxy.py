"""A TCP relay in front of a server: one program finds it away or mute while all others use it undisturbed."""

import contextlib
import selectors
import socket
import threading

from stack import LOOPBACK


class Proxy:
    """Begins open. refuse(): nobody listens. mute(): connections are taken and nothing is ever said."""

    def __init__(self, target_port):
        self.target_port = target_port
        self._listener = None
        self._pairs = set()
        self._mute = False
        self._lock = threading.Lock()
        self.port = self._listen(0)

    def _listen(self, port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener.getsockname()[1]

    def open(self):
        """As if the server had come back: what was mute is cut off, so that it is connected anew."""
        self._mute = False
        self._cut()
        if self._listener is None:
            self._listen(self.port)

    def mute(self):
        self._mute = True
        if self._listener is None:
            self._listen(self.port)

    def refuse(self):
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._cut()

    close = refuse

    def _cut(self):
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        with contextlib.suppress(OSError), client, socket.create_connection((LOOPBACK, self.target_port)) as server:
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            with selectors.DefaultSelector() as ends:
                ends.register(client, selectors.EVENT_READ, server)
                ends.register(server, selectors.EVENT_READ, client)
                while self._pump(ends):
                    pass
            with self._lock:
                self._pairs.discard(pair)

    def _pump(self, ends):
        for key, _ in ends.select():
            data = key.fileobj.recv(65536)
            if not data:
                return False
            if not self._mute:
                key.data.sendall(data)
        return True
