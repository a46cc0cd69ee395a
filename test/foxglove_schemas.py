"""foxglove's protobuf messages that recordings of cameras have, built from their fields."""

from __future__ import annotations

from google.protobuf import descriptor_pb2, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

STAMP = ".google.protobuf.Timestamp"
FIELDS = {
    "Vector3": {"x": (1, "double"), "y": (2, "double"), "z": (3, "double")},
    "Quaternion": {axis: (i, "double") for i, axis in enumerate("xyzw", start=1)},
    "CompressedImage": {
        "timestamp": (1, STAMP), "data": (2, "bytes"), "format": (3, "string"),
        "frame_id": (4, "string"),
    },
    "CameraCalibration": {
        "timestamp": (1, STAMP), "width": (2, "fixed32"), "height": (3, "fixed32"),
        "distortion_model": (4, "string"), "D": (5, "doubles"), "K": (6, "doubles"),
        "R": (7, "doubles"), "P": (8, "doubles"), "frame_id": (9, "string"),
    },
    "FrameTransform": {
        "timestamp": (1, STAMP), "parent_frame_id": (2, "string"), "child_frame_id": (3, "string"),
        "translation": (4, ".foxglove.Vector3"), "rotation": (5, ".foxglove.Quaternion"),
    },
}  # fmt: skip


def schemas() -> dict[str, type]:
    """Message class by its name without the package."""
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in FIELDS.items():
        file = descriptor_pb2.FileDescriptorProto(
            name=f"foxglove/{name}.proto", package="foxglove", syntax="proto3"
        )
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = kinds.LABEL_REPEATED if kind == "doubles" else kinds.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if kind.startswith("."):
                added.type, added.type_name = kinds.TYPE_MESSAGE, kind
                stamp = "google/protobuf/timestamp.proto"
                needed = stamp if kind == STAMP else f"foxglove/{kind.rpartition('.')[2]}.proto"
                file.dependency.append(needed)
            else:
                added.type = getattr(kinds, "TYPE_" + kind.replace("doubles", "double").upper())
        pool.Add(file)
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"foxglove.{name}")) for name in FIELDS
    }
