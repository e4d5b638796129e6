"""How many bytes a message's content takes on the wire."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, RecordDict
from flwr.common.serde import recorddict_to_proto


def serialized_size(content: RecordDict) -> int:
    """Bytes of the content as Flower's protocol buffers serialise it, transport framing excluded.

    Tensor data is counted, not copied: serialising 94 MB to learn its length takes half a second.
    The result may fall short of the real length by the length prefixes, under 20 bytes a tensor.
    """
    skeleton = RecordDict()
    data = 0
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            data += sum(len(array.data) for array in record.values())
            skeleton[name] = ArrayRecord({key: _emptied(array) for key, array in record.items()})
        else:
            skeleton[name] = record
    return data + int(recorddict_to_proto(skeleton).ByteSize())


def _emptied(array: Array) -> Array:
    return Array(dtype=array.dtype, shape=array.shape, stype=array.stype, data=b"")
