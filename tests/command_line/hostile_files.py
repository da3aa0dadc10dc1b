"""Files that no one should have to trust, each written by a function of its path."""

import io
import os
import struct
import zipfile
import zlib

import numpy as np

GOOD = {"Q": np.eye(2), "p": np.ones(2)}


def npy(array):
    """An array as the bytes of an .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def header(shape, descr="'<f8'", version=(1, 0), length=None):
    """The first bytes of an .npy file, whatever they say."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode("latin1")
    stated = len(text) if length is None else length
    size = struct.pack("<H" if version == (1, 0) else "<I", stated)
    return b"\x93NUMPY" + bytes(version) + size + text


def archive(path, entries, method=zipfile.ZIP_STORED):
    """An archive of these entries, and of what else a problem needs."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in entries.items():
            file.writestr(name, content)
        for name, array in GOOD.items():
            if f"{name}.npy" not in entries:
                file.writestr(f"{name}.npy", npy(array))


def patched(path, change):
    """A good archive whose directory is changed: `change` gets the place where it begins."""
    archive(path, {}, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    change(content, content.index(b"PK\x01\x02"))
    path.write_bytes(bytes(content))


def put(offset, form, value):
    """A change of one field of the directory's first entry."""
    return lambda content, begin: struct.pack_into(form, content, begin + offset, value)


def truncated(path):
    np.savez(path, Q=np.eye(50), p=np.ones(50))
    path.write_bytes(path.read_bytes()[:-30])


def flipped(path):
    np.savez(path, **GOOD)
    content = bytearray(path.read_bytes())
    content[content.index(b"\x00\xf0?")] ^= 1  # within the data: only the check sum tells
    path.write_bytes(bytes(content))


def bomb(path, count=136_000_000):
    """Zeros without end, in less than a hundredth of their size."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    raw = header((count,))
    piece, crc = bytes(8_000_000), zlib.crc32(raw)
    packed = packer.compress(raw)
    for _ in range(count // 1_000_000):
        packed, crc = packed + packer.compress(piece), zlib.crc32(piece, crc)
    packed += packer.flush()
    sizes = struct.pack("<IIIHH", crc, len(packed), len(raw) + 8 * count, 5, 0)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + b"Q.npy" + packed
    central = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
    central += struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"Q.npy"
    ends = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    path.write_bytes(local + central + b"PK\x05\x06" + ends)


def many_entries(path):
    with zipfile.ZipFile(path, "w") as file:
        for i in range(30_000):
            file.writestr(f"entry {i}", b"")


def twice(path):
    archive(path, {"Q.npy": npy(np.eye(2)), "Q": npy(np.eye(3))})


def broadcast(path):
    """Small arrays, and 1e12 problems."""
    np.savez(path, Q=np.eye(1), p=np.ones((1_000_000, 1, 1)), lb=np.zeros((1_000_000, 1)))


def of_nothing(path):
    """No bytes at all, and 1e15 problems of no variable."""
    archive(path, {"Q.npy": npy(np.zeros((0, 0))), "p.npy": header((10**15, 0))})


def npy_of(*arguments, **more):
    return lambda path: archive(path, {"Q.npy": header(*arguments, **more)})


def named(name):
    return lambda path: archive(path, {name: npy(np.eye(2))})


def in_method(method):
    return lambda path: archive(path, {}, method)


def fifo(path):
    os.mkfifo(path)


FILES = {
    "a shape that overflows": npy_of((2**70,)),
    "a product that overflows": npy_of((2**40, 2**40, 2**40)),
    "truth values for a shape": npy_of((True, 2)),
    "a negative shape": npy_of((-1, 2)),
    "a shape of floats": npy_of((2.0, 2)),
    "a shape that is no tuple": npy_of([2, 2]),
    "many dimensions": npy_of((1,) * 200),
    "no bytes and many dimensions": npy_of((2**62, 2**62, 0)),
    "300 GB": npy_of((200_000, 200_000)),
    "a huge dtype": npy_of((2,), "'<V2000000000'"),
    "huge text": npy_of((2,), "'<U500000000'"),
    "text": lambda path: np.savez(path, Q=np.array(["a"]), p=np.ones(1)),
    "dates": lambda path: np.savez(path, Q=np.array(["2026"], "M8[s]"), p=np.ones(1)),
    "records": lambda path: np.savez(path, Q=np.zeros(2, "f8,f8"), p=np.ones(2)),
    "an array for a dtype": npy_of((2,), "('<f8', (1000000000,))"),
    "a dtype that is none": npy_of((2,), "'<q9'"),
    "a dtype of brackets": npy_of((2,), "[" * 5000),
    "a dtype of signs": npy_of((2,), "-" * 9000 + "1"),
    "a header without end": npy_of((2,), version=(2, 0), length=2**32 - 1),
    "a header in another form": npy_of((2,), version=(3, 0)),
    "a header of 1000 versions": npy_of((2,), version=(9, 9)),
    "no header": lambda path: archive(path, {"Q.npy": b"\x93NUMPY"}),
    "no array": lambda path: archive(path, {"Q.npy": b"hello"}),
    "no bytes": lambda path: archive(path, {"Q.npy": b""}),
    "too few bytes": lambda path: archive(path, {"Q.npy": npy(np.eye(2))[:-8]}),
    "too many bytes": lambda path: archive(path, {"Q.npy": npy(np.eye(2)) + b"more"}),
    "objects": lambda path: np.savez(path, Q=np.array([None]), p=np.ones(1)),
    "an object": lambda path: np.savez(path, Q=np.array({}), p=np.ones(1)),
    "bzip2": in_method(zipfile.ZIP_BZIP2),
    "lzma": in_method(zipfile.ZIP_LZMA),
    "a method of the future": lambda path: patched(path, put(10, "<H", 99)),
    "a password": lambda path: patched(path, put(8, "<H", 1)),
    "a large size": lambda path: patched(path, put(24, "<I", 2**32 - 2)),
    "a large stored size": lambda path: patched(path, put(20, "<I", 2**31)),
    "a wrong check sum": lambda path: patched(path, put(16, "<I", 7)),
    "a place behind the end": lambda path: patched(path, put(42, "<I", 2**31)),
    "a newer version": lambda path: patched(path, put(6, "<H", 255)),
    "truncated": truncated,
    "flipped": flipped,
    "a bomb": bomb,
    "many entries": many_entries,
    "an array twice": twice,
    "a name of control characters": named("\x1b[2J\r\nQ\u202e.npy"),
    "a name without end": named("Q" * 60_000),
    "a path for a name": named("../../Q.npy"),
    "a huge batch": broadcast,
    "a huge batch of nothing": of_nothing,
    "a pipe": fifo,
}
