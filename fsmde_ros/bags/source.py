"""Any recording as ROS 2 messages: rosbag2, ROS 1 bags, and MCAP files of other kinds.

What a recording holds in ROS 1's bytes or as foxglove's protobuf is turned into ROS 2's as it is
read, so that nobody else has to know where it came from.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from heapq import merge
from operator import itemgetter
from pathlib import Path

from rosbags.interfaces import Connection, Nodetype, QosDurability
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from fsmde_ros.bags.protobuf import FOXGLOVE_TYPES, from_json, to_cdr
from fsmde_ros.faults import sentence

TYPESTORE = get_typestore(Stores.ROS2_JAZZY)
ROS1_TYPES = {"tf/msg/tfMessage": "tf2_msgs/msg/TFMessage"}  # by other names in ROS 2
HEADER_TYPES = (
    "std_msgs/msg/Header",
    "builtin_interfaces/msg/Time",
    "builtin_interfaces/msg/Duration",
)
MCAP_MAGIC = b"\x89MCAP0\r\n"
FILES = (".bag", ".mcap", ".db3")
UNFINISHED = ".active"  # of a rosbag record that was killed
METADATA = "metadata.yaml"
LATCHED = re.compile(r"durability: (1|transient_local)\b")
MEND = "if its recording was cut off, `ros2 bag reindex`, `rosbag reindex` or `mcap recover` help"


class BagError(ValueError):
    """A recording that cannot be read or played; the message names it."""


@dataclass(frozen=True)
class Topic:
    """One topic of a recording."""

    name: str
    """As ROS 2 has it, with a slash in front."""
    kind: str
    """Type of the messages as they are read, such as sensor_msgs/msg/Image."""
    count: int
    """Messages on it."""
    latched: bool = False
    """Whether they were offered to those who come later."""


@dataclass(frozen=True)
class Source:
    """A recording that is open."""

    path: Path
    topics: tuple[Topic, ...]
    start_ns: int
    end_ns: int
    read: Callable[[Collection[Topic]], Iterator[tuple[Topic, int, bytes]]]
    """(topic, nanoseconds when it was recorded, CDR) of the messages on some topics, in order."""

    def messages(self, topics: Collection[Topic]) -> Iterator[tuple[Topic, int, bytes]]:
        """The messages on these topics in the order of recording; BagError if one is damaged."""
        if not topics:
            return
        try:
            yield from self.read(topics)
        except Exception as error:  # damaged files make readers raise anything
            raise _damaged(self.path, error) from error


@contextmanager
def open_source(bag: Path) -> Iterator[Source]:
    """A recording of any kind, to be read; BagError if it is missing, damaged or empty."""
    bag = recording_of(bag)
    files = _files(bag)
    opened = _open_foreign_mcap if _is_foreign_mcap(files[0]) else _open_rosbag
    with opened(bag, files) as source:
        if not any(topic.count for topic in source.topics):
            raise BagError(f"bag {bag} is empty")
        yield source


def recording_of(path: Path) -> Path:
    """The recording that a path means: of its metadata.yaml the folder."""
    path = Path(path)
    return path.parent if path.name == METADATA and path.is_file() else path


def _files(bag: Path) -> list[Path]:
    """What to open of a path: itself, or the recordings in a folder without metadata."""
    if bag.is_file():
        if bag.suffix == UNFINISHED:
            raise BagError(
                f"bag {bag} was cut off: `rosbag reindex` it, then name it without .active"
            )
        if bag.suffix not in FILES:
            raise BagError(f"bag {bag} is none: neither a folder nor one of {', '.join(FILES)}")
        return [bag]
    if not bag.is_dir():
        raise BagError(f"bag {bag} does not exist")
    if (bag / METADATA).exists():
        return [bag]
    found = [sorted(f for f in bag.glob(f"*{ending}") if f.is_file()) for ending in FILES]
    kinds = [files for files in found if files]
    packed = ", ".join(file.name for file in sorted(bag.glob("*.zst*")))
    if not kinds and packed:
        raise BagError(
            f"bag {bag} has no metadata.yaml: unpack {packed} by `zstd -d`, and name what comes out"
        )
    if not kinds:
        inside = sorted({file.parent.name for file in bag.glob(f"*/{METADATA}")})
        raise BagError(
            f"bag {bag} is a folder without metadata.yaml, and without a recording"
            + (f", name one of those in it: {', '.join(inside)}" if inside else "")
        )
    if len(kinds) > 1 or (len(kinds[0]) > 1 and kinds[0][0].suffix != ".bag"):
        names = ", ".join(file.name for files in kinds for file in files)
        raise BagError(
            f"bag {bag} has no metadata.yaml, which `ros2 bag reindex` writes where they are parts "
            f"of one, and several recordings, name one: {names}"
        )
    return kinds[0]


@contextmanager
def _open_rosbag(bag: Path, files: list[Path]) -> Iterator[Source]:
    is_ros1 = all(file.suffix == ".bag" and file.is_file() for file in files)
    with ExitStack() as stack:
        try:
            make = Ros1Reader if is_ros1 else Reader
            readers = [stack.enter_context(make(file)) for file in files]
        except Exception as error:  # damaged files make it raise anything
            raise _damaged(bag, error) from error
        topics: dict[tuple[str, str], Topic] = {}
        # numbers of connections hold for their own file
        of_reader: list[dict[int, tuple[str, str]]] = []
        for reader in readers:
            of_reader.append({})
            for connection in reader.connections:
                key = f"/{connection.topic.lstrip('/')}", _kind(connection, is_ros1=is_ros1)
                known = topics.get(key, Topic(*key, count=0))
                count, latched = known.count + connection.msgcount, known.latched
                topics[key] = Topic(*key, count, latched or _is_latched(connection))
                of_reader[-1][connection.id] = key

        def read_one(reader, keys, wanted: Collection[Topic]):
            chosen = [c for c in reader.connections if topics[keys[c.id]] in wanted]
            for connection, stamp_ns, data in reader.messages(chosen) if chosen else ():
                topic = topics[keys[connection.id]]
                if is_ros1:
                    data = TYPESTORE.ros1_to_cdr(data, topic.kind)
                yield topic, stamp_ns, bytes(data)

        def read(wanted: Collection[Topic]) -> Iterator[tuple[Topic, int, bytes]]:
            messages = (read_one(*of, wanted) for of in zip(readers, of_reader))
            return merge(*messages, key=itemgetter(1))

        filled = [reader for reader in readers if reader.message_count]
        start_ns = min((reader.start_time for reader in filled), default=0)
        end_ns = max((reader.end_time for reader in filled), default=0)
        yield Source(bag, tuple(topics.values()), start_ns, end_ns, read)


def _kind(connection: Connection, *, is_ros1: bool) -> str:
    if not is_ros1:
        return connection.msgtype
    return _ros1_kind(connection.msgtype, connection.msgdef.data)


def _ros1_kind(kind: str, definition: str) -> str:
    """The ROS 2 type that messages of ROS 1 become, or a name that says that they become none."""
    kind = ROS1_TYPES.get(kind, kind)
    if not definition.strip():
        return kind
    try:
        theirs = get_types_from_msg(definition, kind)
    except Exception:  # whatever its parser comes upon
        theirs = {}
    return kind if _same_fields(kind, theirs) else f"{kind} of ROS 1"


def _same_fields(kind: str, theirs: dict) -> bool:
    """Whether messages of a type hold the same in a recording's ROS 1 as in ROS 2.

    Names may differ, as D and d of CameraInfo; what ROS 1 alone has in its headers is known.
    """
    if kind in HEADER_TYPES:
        return True
    if kind not in theirs or kind not in TYPESTORE.fielddefs:
        return False
    old, new = ([of for _, of in types[kind][1]] for types in (theirs, TYPESTORE.fielddefs))
    return old == new and all(_same_fields(name, theirs) for name in _types_in(new))


def _types_in(fields) -> set[str]:
    """Names of the types of which a message's fields are."""
    parts = [of[0] if isinstance(of[0], tuple) else (kind, of) for kind, of in fields]
    return {of for kind, of in parts if kind == Nodetype.NAME}


def _is_latched(connection: Connection) -> bool:
    if hasattr(connection.ext, "latching"):  # ROS 1
        return bool(connection.ext.latching)
    offered = connection.ext.offered_qos_profiles
    return any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in offered)


def _is_foreign_mcap(file: Path) -> bool:
    """Whether a file is MCAP, but not of a rosbag2 alone: its first record names a profile."""
    if file.suffix != ".mcap" or file.is_dir():
        return False
    try:
        with file.open("rb") as opened:
            start = opened.read(64)
    except OSError as error:
        raise BagError(f"bag {file}: {error.strerror or error}") from error
    if not start.startswith(MCAP_MAGIC) or len(start) < 21:
        raise BagError(f"bag {file} is damaged: it does not begin as an MCAP file does")
    (length,) = struct.unpack_from("<I", start, 17)
    return start[21 : 21 + length] != b"ros2" or _has_other_messages(file)


def _has_other_messages(file: Path) -> bool:
    """Whether there are others' messages beside ROS 2's: rosbags refuses all of such a file."""
    try:
        with Reader(file):
            return False
    except KeyError:  # an encoding of theirs
        return True
    except Exception:  # said where it is opened
        return False


@contextmanager
def _open_foreign_mcap(bag: Path, files: list[Path]) -> Iterator[Source]:
    try:
        from mcap.reader import make_reader
        from mcap_protobuf.decoder import DecoderFactory
    except ImportError as error:
        raise BagError(
            f"bag {bag} is no rosbag2, and reading it needs what is not installed ({error}): "
            "pip install mcap-protobuf-support"
        ) from error
    with files[0].open("rb") as opened:
        try:
            reader = make_reader(opened)
            summary = reader.get_summary()
        except Exception as error:
            raise _damaged(bag, error) from error
        if summary is None or summary.statistics is None:
            raise BagError(f"bag {bag} has no index at its end: `mcap recover` writes one")
        factory, topics = DecoderFactory(), {}
        for number, channel in summary.channels.items():
            schema = summary.schemas.get(channel.schema_id)
            name = schema.name if schema is not None else ""
            kind = _mcap_kind(channel.message_encoding, name)
            if channel.message_encoding == "ros1":
                kind = _ros1_kind(kind, schema.data.decode(errors="replace"))
            count = summary.statistics.channel_message_counts.get(number, 0)
            latched = bool(LATCHED.search(channel.metadata.get("offered_qos_profiles", "")))
            topics[number] = Topic(f"/{channel.topic.lstrip('/')}", kind, count, latched)

        def read(wanted: Collection[Topic]) -> Iterator[tuple[Topic, int, bytes]]:
            names = {c.topic for n, c in summary.channels.items() if topics[n] in wanted}
            for schema, channel, message in reader.iter_messages(topics=names):
                topic = topics[channel.id]
                if topic not in wanted:
                    continue
                data = message.data
                if channel.message_encoding == "protobuf":
                    decode = factory.decoder_for("protobuf", schema)
                    data = to_cdr(decode(data), schema.name)
                elif channel.message_encoding == "json":
                    data = to_cdr(from_json(data), schema.name)
                elif channel.message_encoding == "ros1":
                    data = bytes(TYPESTORE.ros1_to_cdr(data, topic.kind))
                yield topic, message.log_time, data

        statistics = summary.statistics
        start_ns, end_ns = statistics.message_start_time, statistics.message_end_time
        yield Source(bag, tuple(topics.values()), start_ns, end_ns, read)


def _mcap_kind(encoding: str, schema: str) -> str:
    """The ROS 2 type that a channel's messages become; its own name where they become none."""
    if encoding in ("protobuf", "json") and schema in FOXGLOVE_TYPES:
        return FOXGLOVE_TYPES[schema]
    if encoding == "protobuf":
        return schema
    if encoding in ("ros1", "cdr"):
        package, _, name = schema.replace("/msg/", "/").partition("/")
        return f"{package}/msg/{name}"
    return f"{schema} ({encoding})"


def _damaged(bag: Path, error: Exception) -> BagError:
    if isinstance(error, BagError):
        return error
    return BagError(f"bag {bag} cannot be read: {sentence(error).rstrip('.')}; {MEND}")
