"""Cuts a part out of an ONNX file, so that work which windows or raters share is done once.

ONNX files are protocol buffers; only their wire format and a few field numbers are needed (those of
onnx.proto), which spares the ``onnx`` package. Nodes, weights and operator versions stay as they
are: a part computes exactly what the whole model computes there.
"""

from collections.abc import Iterator, Mapping, Sequence

from relkit.domain.errors import InvalidInput

_GRAPH = 7  # ModelProto.graph
_NODE, _INPUT, _OUTPUT, _VALUE_INFO = 1, 11, 12, 13  # GraphProto
_NODE_INPUT, _NODE_OUTPUT = 1, 2  # NodeProto
_INITIALIZER = 5
_FLOAT = 1  # TensorProto.DataType
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}

Shape = Sequence[int | None]


def cut(model: bytes, *, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bytes:
    """Return the part of a model between float tensors, named with their shapes (None: any size).

    Raises InvalidInput where the bytes are no ONNX model or lack an output.
    """
    try:
        fields = list(_fields(model))
        graph = next(value for number, _, value in fields if number == _GRAPH)
        part = _part(graph, inputs, outputs)
    except (IndexError, StopIteration, UnicodeDecodeError) as error:
        raise InvalidInput(
            "a model file of speechmos is not an ONNX model",
            hint="install it again: pip install --force-reinstall 'relkit[mos]'",
        ) from error
    return b"".join(
        _field(number, wire, part if number == _GRAPH else value) for number, wire, value in fields
    )


def _part(graph: bytes, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bytes:
    """Return the graph with the nodes that lie between inputs and outputs, and their weights."""
    fields = list(_fields(graph))
    nodes = {i: _ends(value) for i, (number, _, value) in enumerate(fields) if number == _NODE}
    makers = {name: i for i, (_, made) in nodes.items() for name in made}
    wanted, kept, read = list(outputs), set[int](), set[str]()
    while wanted:
        name = wanted.pop()
        read.add(name)
        if name in inputs or name not in makers:
            continue
        if makers[name] not in kept:
            kept.add(makers[name])
            wanted.extend(nodes[makers[name]][0])
    if missing := [name for name in outputs if name not in makers]:
        raise InvalidInput(f"the model has no tensor {missing[0]}: relkit needs speechmos 0.0.1.1")
    parts = []
    for i, (number, wire, value) in enumerate(fields):
        gone = number in (_INPUT, _OUTPUT, _VALUE_INFO) or (number == _NODE and i not in kept)
        unread = number == _INITIALIZER and _initializer_name(value) not in read
        if not (gone or unread):
            parts.append(_field(number, wire, value))
    parts += [_field(_INPUT, _BYTES, _tensor(name, shape)) for name, shape in inputs.items()]
    parts += [_field(_OUTPUT, _BYTES, _tensor(name, shape)) for name, shape in outputs.items()]
    return b"".join(parts)


def _ends(node: bytes) -> tuple[list[str], list[str]]:
    """Return the names of a node's inputs and outputs."""
    fields = list(_fields(node))
    found = [value.decode() for number, _, value in fields if number == _NODE_INPUT]
    return found, [value.decode() for number, _, value in fields if number == _NODE_OUTPUT]


def _initializer_name(tensor: bytes) -> str:
    name = 8  # TensorProto.name
    return next((value.decode() for number, _, value in _fields(tensor) if number == name), "")


def _tensor(name: str, shape: Shape) -> bytes:
    """Return a ValueInfoProto of a float tensor."""
    sizes = b""
    for i, size in enumerate(shape):
        named = _field(2, _BYTES, f"{name}_{i}".encode())
        sizes += _field(1, _BYTES, named if size is None else _field(1, _VARINT, _varint(size)))
    tensor = _field(1, _VARINT, _varint(_FLOAT)) + _field(2, _BYTES, sizes)
    return _field(1, _BYTES, name.encode()) + _field(2, _BYTES, _field(1, _BYTES, tensor))


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (field number, wire type, bytes of the value) of a message."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            _, end = _read_varint(data, at)
        elif wire == _BYTES:
            size, at = _read_varint(data, at)
            end = at + size
        elif wire in _WIDTH:
            end = at + _WIDTH[wire]
        else:
            raise IndexError(wire)
        if end > len(data):
            raise IndexError(end)
        yield key >> 3, wire, data[at:end]
        at = end


def _field(number: int, wire: int, value: bytes) -> bytes:
    size = _varint(len(value)) if wire == _BYTES else b""
    return _varint(number << 3 | wire) + size + value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that more follow
            return value, at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - as above
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
