"""What is found wrong with a file of frames."""

from __future__ import annotations

from collections.abc import Sequence

FEWEST = 8  # frames, bonds or degrees of freedom from which a trend is read


class Findings:
    """Problems by message, so that one fault of many frames is one line.

    Parameters
    ----------
    file : str
        Its name, for messages.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: dict[str, list[int]] = {}
        self.notes: list[str] = []

    def add(self, message: str, *numbers: int) -> None:
        """Note a problem of some frames, or of the file."""
        self.found.setdefault(message, []).extend(numbers)

    def not_checked(self, what: str, why: str) -> None:
        """Note that something could not be checked."""
        self.notes.append(f"{self.file}: {what} not checked: {why}")

    def lines(self) -> list[str]:
        """Return all problems, a line each."""
        return [self._line(message, numbers) for message, numbers in self.found.items()]

    def leave_out(self) -> None:
        """Make notes of the problems that are of single frames."""
        of_frames = {message: numbers for message, numbers in self.found.items() if numbers}
        for message, numbers in of_frames.items():
            self.notes.append(f"left out: {self._line(message, numbers)}")
            del self.found[message]

    def _line(self, message: str, numbers: Sequence[int]) -> str:
        return f"{self.file}{_where(numbers)}: {message}"


def _where(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f", frame{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:5]))}{more}"
