"""Keep in memory the part of a stream that is being read."""

from typing import BinaryIO

from metaclip_dagster.parsing.heads import skip_padding

PIECE_BYTES = 1 << 20


class Window:
    """The stretch of a stream that is in memory: `at` is where the next record begins in `data`."""

    def __init__(self, archive: BinaryIO) -> None:
        self._archive = archive
        self._start = 0
        self._ended = False
        self.data = b""
        self.at = 0

    @property
    def offset(self) -> int:
        """Where the next record begins in the stream."""
        return self._start + self.at

    def grow(self) -> bool:
        """Forget what lies before `at` and read on; False at the stream's end."""
        if self._ended:
            return False
        pieces = [self.data[self.at :]]
        # Reading as much again keeps the copies linear in the length of a long record.
        num_missing = max(PIECE_BYTES, len(pieces[0]))
        while num_missing > 0 and (piece := self._archive.read(num_missing)):
            pieces.append(piece)
            num_missing -= len(piece)
        self._start, self.at, self.data, self._ended = self.offset, 0, b"".join(pieces), num_missing > 0
        return len(pieces) > 1

    def hold(self, num_bytes: int) -> bool:
        """Have so many bytes from `at` in memory; False where the stream ends before."""
        while len(self.data) - self.at < num_bytes:
            if not self.grow():
                return False
        return True

    def skip_padding(self) -> bool:
        """Move on to what is neither a newline nor NUL; False where the stream ends before."""
        while True:
            if self.at < len(self.data) and self.data[self.at] not in b"\r\n\0":
                return True
            self.at = skip_padding(self.data, self.at)
            if self.at == len(self.data) and not self.grow():
                return False

    def skip(self, num_bytes: int) -> None:
        """Move on by so many bytes without keeping them."""
        while num_bytes > (num_read := len(self.data) - self.at):
            num_bytes -= num_read
            self.at = len(self.data)
            if not self.grow():
                return
        self.at += num_bytes
