"""The records of the input as they come to the driver: a thread takes them out of Ray Data in their order.

The driver reads the first part itself, and starts Ray Data when that is read: Ray Data's own actors and its first task
take six seconds of CPU, for which the first call would wait, and an input of one part needs none of them.
`streaming_split` would share the records out by itself, but never serves a worker again that was lost; so the driver
deals them, and keeps what it dealt until it has its rows.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from queue import Empty, Full, Queue
from threading import Event, Thread

from ray.exceptions import RayTaskError

from mics_ray.errors import RefusedRun
from mics_ray.io.dealt_records import DealtSpan, ReadRecord, RejectedCount, deal_records
from mics_ray.io.index.ids import IdSet, SortedHashes
from mics_ray.io.index.input_index import InputIndex, PartCollector
from mics_ray.io.input_files import InputError
from mics_ray.io.packed_blocks import PartPiece, join_pieces, read_pieces, split_block
from mics_ray.io.scan import Part

SPANS_READ_AHEAD = 8
READ_HERE = 2**16
"""Records of the first part at most for the driver to read it: a large gzipped file is one part."""
POLL_S = 0.5


class CaseStream:
    """The spans of a run as they come out of Ray Data, taken by a thread, so that the driver never waits for a file."""

    def __init__(self, parts: Sequence[Part], done: IdSet, index: InputIndex | None = None) -> None:
        """Begin to read ``parts`` but for the ids in ``done`` and the parts that hold no other, as ``index`` knows."""
        self._ready: Queue[DealtSpan] = Queue(SPANS_READ_AHEAD)
        self._read_all, self._stop = Event(), Event()
        self._error: BaseException | None = None
        self._rejected = RejectedCount()
        self._thread = Thread(target=self._read, args=(parts, done, index), name="cases", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether every span has been taken. Raises :class:`RefusedRun` where the input cannot be read any further."""
        # In this order: the thread may put a span between the two looks.
        whole = self._read_all.is_set() and self._ready.empty()
        if whole and self._error is not None:
            raise self._error
        return whole

    @property
    def rejected(self) -> RejectedCount | None:
        """What was read and is no case; ``None`` while, or where, not every record is read."""
        whole = self._read_all.is_set() and self._error is None and not self._stop.is_set()
        return self._rejected if whole else None

    def take_span(self) -> DealtSpan | None:
        """The next span; ``None`` where none is there yet, or none is left."""
        try:
            return self._ready.get_nowait()
        except Empty:
            return None

    def close(self) -> None:
        """Read no further. While Ray is there: the end of reading asks Ray."""
        self._stop.set()
        self._thread.join(10 * POLL_S)

    def _read(self, parts: Sequence[Part], done: IdSet, index: InputIndex | None) -> None:
        try:
            # The generator's end is the end of what Ray Data still does.
            with closing(iter_records(parts, done, index)) as records:
                for span in deal_records(records, done, parts):
                    self._rejected.add_span(span)
                    if not self._hand_over(span):
                        break
        except RayTaskError as error:
            cause = error.cause
            self._error = RefusedRun(str(cause)) if isinstance(cause, InputError) else error
        except InputError as error:
            self._error = RefusedRun(str(error))
        except Exception as error:
            self._error = error
        finally:
            self._read_all.set()

    def _hand_over(self, span: DealtSpan) -> bool:
        while not self._stop.is_set():
            try:
                self._ready.put(span, timeout=POLL_S)
                return True
            except Full:
                continue
        return False


def iter_records(
    parts: Sequence[Part], done: IdSet, index: InputIndex | None = None
) -> Generator[ReadRecord, None, None]:
    """The records of all parts in their order; those in ``done`` are not parsed, and the parts that the index knows to
    be done not read."""
    known = {} if index is None else index.find_done(done)
    left = {number: part for number, part in enumerate(parts) if number not in known}
    yield from join_pieces(_read_parts(left, done), known, len(parts), PartCollector(index))


def _read_parts(parts: dict[int, Part], done: IdSet) -> Iterator[PartPiece]:
    """The records of ``parts``, by their numbers: the first part read here, the others by Ray Data."""
    if parts and (part := parts[first := min(parts)]).end - part.first <= READ_HERE:
        yield from read_pieces(parts.pop(first), first, SortedHashes(done.sort_hashes()))
    if parts:
        from mics_ray.runtime.driver.case_source import read_blocks

        for block in read_blocks(parts, done):
            yield from split_block(block)
