"""What somebody can open who has docket's keys and a copy of its tables: common/seal, told once more."""

import base64
import ctypes
import secrets

sodium = ctypes.CDLL("libsodium.so.23")
NONCE, TAG = 24, 16


def _aead(function, text, room, context, nonce, key):
    out = ctypes.create_string_buffer(max(room, 1))
    length = ctypes.c_ulonglong()
    if function.__name__.endswith("_encrypt"):
        r = function(out, ctypes.byref(length), text, ctypes.c_ulonglong(len(text)), context,
                     ctypes.c_ulonglong(len(context)), None, nonce, key)
    else:
        r = function(out, ctypes.byref(length), None, text, ctypes.c_ulonglong(len(text)), context,
                     ctypes.c_ulonglong(len(context)), nonce, key)
    return out.raw[:length.value] if r == 0 else None


def seal(key, what, owner, plain):
    nonce = secrets.token_bytes(NONCE)
    return nonce + _aead(sodium.crypto_aead_xchacha20poly1305_ietf_encrypt, plain, len(plain) + TAG,
                         f"{what}\0{owner}".encode(), nonce, key)


def unseal(key, what, owner, sealed):
    """None when it does not open."""
    return _aead(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt, sealed[NONCE:], len(sealed),
                 f"{what}\0{owner}".encode(), sealed[:NONCE], key)


class Ring:
    """DOCKET_SEALING_KEYS in somebody's hands."""

    def __init__(self, setting):
        self.keys = {name: base64.b64decode(key) for name, key in (part.split(":") for part in setting.split(","))}

    def unwrap(self, key_id, wrapped, request_id):
        return unseal(self.keys[key_id], "request_key", request_id, wrapped) if key_id in self.keys else None


def fresh_key(name):
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"
