"""Independent readers and writers of the product's formats: deterministic CBOR, Ed25519, COSE_Sign1, access tokens, Merkle trees.

Written from the published formats and not from the product's sources, so that a test does not agree with a mistake of the product.
"""
import base64
import hashlib
import os
import struct
import time


class FormatError(Exception):
    pass


# ---- deterministic CBOR (RFC 8949 §4.2.1): int, bytes, text, list, map, tag, bool, null ----

class Tag:
    def __init__(self, number, value):
        self.number, self.value = number, value


def _head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << (8 * size):
            return bytes([major << 5 | code]) + number.to_bytes(size, "big")
    raise FormatError("number too large")


def cbor_encode(value):
    if value is None:
        return b"\xf6"
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return _head(3, len(text)) + text
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(cbor_encode(item) for item in value)
    if isinstance(value, dict):
        pairs = sorted((cbor_encode(key), cbor_encode(item)) for key, item in value.items())
        return _head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
    if isinstance(value, Tag):
        return _head(6, value.number) + cbor_encode(value.value)
    raise FormatError(f"{type(value)} has no encoding here")


def _decode(data, at):
    if at >= len(data):
        raise FormatError("truncated")
    major, small = data[at] >> 5, data[at] & 31
    at += 1
    if small < 24:
        number = small
    elif small < 28:
        size = 1 << (small - 24)
        number = int.from_bytes(data[at:at + size], "big")
        at += size
    else:
        raise FormatError("indefinite length")
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        if at + number > len(data):
            raise FormatError("truncated")
        raw = data[at:at + number]
        return (raw if major == 2 else raw.decode()), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _decode(data, at)
            items.append(item)
        return items, at
    if major == 5:
        table = {}
        for _ in range(number):
            key, at = _decode(data, at)
            if key in table:
                raise FormatError("duplicate key")
            table[key], at = _decode(data, at)
        return table, at
    if major == 6:
        value, at = _decode(data, at)
        return Tag(number, value), at
    if small == 27:
        return struct.unpack(">d", number.to_bytes(8, "big"))[0], at
    if small == 26:
        return struct.unpack(">f", number.to_bytes(4, "big"))[0], at
    if small == 25:
        return struct.unpack(">e", number.to_bytes(2, "big"))[0], at
    return {20: False, 21: True, 22: None}[number], at


def cbor_decode(data):
    value, at = _decode(data, 0)
    if at != len(data):
        raise FormatError("trailing bytes")
    return value


# ---- Ed25519 (RFC 8032), slow and for tests only ----

P = 2 ** 255 - 19
L = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P


def _x_of(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P:
        raise FormatError("no point of the curve")
    return P - x if x & 1 != sign else x


def _add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def _multiply(n, point):
    total = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = _add(total, point)
        point = _add(point, point)
        n >>= 1
    return total


BASE = (_x_of(BASE_Y, 0), BASE_Y, 1, _x_of(BASE_Y, 0) * BASE_Y % P)


def _compress(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _point(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = _x_of(y, sign)
    return x, y, 1, x * y % P


def _secret(seed):
    h = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(h[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    return scalar, h[32:]


def ed25519_public(seed):
    return _compress(_multiply(_secret(seed)[0], BASE))


def ed25519_sign(seed, message):
    scalar, prefix = _secret(seed)
    public = _compress(_multiply(scalar, BASE))
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    point = _compress(_multiply(r, BASE))
    h = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % L
    return point + ((r + h * scalar) % L).to_bytes(32, "little")


def ed25519_verify(public, message, signature):
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = _multiply(s, BASE), _add(_point(signature[:32]), _multiply(h, _point(public)))
    return _compress(left) == _compress(right)


# ---- COSE_Sign1, party files, tokens ----

def cose_sign1(seed, content_type, payload):
    kid = hashlib.sha256(ed25519_public(seed)).digest()
    header = cbor_encode({1: -8, 3: content_type, 4: kid})
    signed = cbor_encode(["Signature1", header, b"", payload])
    return cbor_encode(Tag(18, [header, {}, payload, ed25519_sign(seed, signed)]))


def cose_open(data):
    """Protected header, payload and signature of a COSE_Sign1; the signature is checked where a key is given to cose_check."""
    message = cbor_decode(data)
    if not isinstance(message, Tag) or message.number != 18:
        raise FormatError("not a COSE_Sign1")
    header, _, payload, signature = message.value
    return header, payload, signature


def cose_check(data, public):
    header, payload, signature = cose_open(data)
    return ed25519_verify(public, cbor_encode(["Signature1", header, b"", payload]), signature)


def container(magic, body):
    return magic + struct.pack(">II", 1, 0) + body


def container_open(data, magic):
    if data[:8] != magic or struct.unpack(">II", data[8:16]) != (1, 0):
        raise FormatError(f"not {magic!r}, version 1")
    return data[16:]


class Identity:
    """A party's keys: from an identity file, or fresh ones for a stranger whom nobody knows."""

    def __init__(self, name, seed=None, hpke=None):
        self.name, self.seed = name, seed or os.urandom(32)
        self.public = ed25519_public(self.seed)
        self.kid = hashlib.sha256(self.public).digest()
        self.hpke = hpke or os.urandom(32)

    @classmethod
    def read(cls, path):
        with open(path, "rb") as file:
            fields = cbor_decode(container_open(file.read(), b"CLOIDENT"))
        return cls(fields["name"], fields["sign_seed"], fields["hpke_secret"])

    def party_file(self):
        fields = {"format": "cloister-party/1", "name": self.name, "sign_key": self.public, "hpke_key": self.hpke}
        return container(b"CLOPARTY", cose_sign1(self.seed, "application/cloister-party+cbor", cbor_encode(fields)))

    def token(self, audience, issued=None, lifetime=120, party=None):
        issued = int(time.time()) if issued is None else issued
        fields = {"format": "cloister-token/1", "party": party or self.name, "kid": self.kid, "audience": audience, "issued": issued,
                  "expires": issued + lifetime, "nonce": os.urandom(16)}
        cose = cose_sign1(self.seed, "application/cloister-token+cbor", cbor_encode(fields))
        return base64.urlsafe_b64encode(cose).rstrip(b"=").decode()


# ---- Merkle trees (RFC 6962) and signed notes (C2SP) ----

def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def tree_root(leaves):
    """Root over leaf hashes, straight from the definition."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def note_open(text):
    """Body and signature lines [(name, key id, blob)] of a signed note."""
    body, _, lines = text.partition("\n\n")
    signatures = []
    for line in lines.splitlines():
        dash, name, blob = line.split(" ")
        raw = base64.b64decode(blob)
        if dash != "—":
            raise FormatError("not a signature line")
        signatures.append((name, raw[:4], raw[4:]))
    return body + "\n", signatures


def vkey_open(vkey):
    """Name, key id, type and public key of "name+hash+base64"."""
    name, key_id, rest = vkey.split("+", 2)
    raw = base64.b64decode(rest)
    return name, bytes.fromhex(key_id), raw[0], raw[1:]


def note_verified(text, vkey):
    """Whether the key signed the note: type 1 over the body, type 4 as cosignature/v1."""
    body, signatures = note_open(text)
    name, key_id, kind, public = vkey_open(vkey)
    for who, signed_id, blob in signatures:
        if (who, signed_id) != (name, key_id):
            continue
        if kind == 1:
            return ed25519_verify(public, body.encode(), blob)
        at = int.from_bytes(blob[:8], "big")
        return ed25519_verify(public, f"cosignature/v1\ntime {at}\n{body}".encode(), blob[8:])
    return False


def checkpoint_open(text):
    origin, size, root = note_open(text)[0].splitlines()[:3]
    return origin, int(size), base64.b64decode(root)


def tile_number(index):
    """A tile's index as C2SP writes it: x001/x234/067."""
    parts = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        parts.append(f"x{index % 1000:03d}")
    return "/".join(reversed(parts))


# ---- the journal of the log ----

def journal_of(home):
    """Entries of the log's journal (be32 length, data, leaf hash), and the bytes behind the last whole record."""
    path = os.path.join(home, "journal")
    if not os.path.exists(path):
        return [], b""
    with open(path, "rb") as file:
        data = file.read()
    entries = []
    while len(data) >= 36:
        size = int.from_bytes(data[:4], "big")
        if size > 60000 or len(data) < 36 + size or leaf_hash(data[4:4 + size]) != data[4 + size:36 + size]:
            break
        entries.append(data[4:4 + size])
        data = data[36 + size:]
    return entries, data
