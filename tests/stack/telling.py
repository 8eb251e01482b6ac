"""What a story on a terminal is told with."""

import os
import sys
import threading
import time

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
TELLING = threading.Lock()


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else str(text)


def bold(text):
    return paint(1, text)


def faint(text):
    return paint(2, text)


def tell(text=""):
    with TELLING:
        print(text, flush=True)


def chapter(title):
    tell(f"\n{bold(title)}\n")


def said(method, path, note=""):
    tell(f"  {method:<6}{path:<58} {faint(note)}")


class Clock:
    """Tells what happens to one request, with the time since it was made."""

    def __init__(self):
        self.began = time.monotonic()

    def tell(self, text):
        tell(f"  {time.monotonic() - self.began:6.2f} s  {text}")
