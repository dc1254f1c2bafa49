"""The commands of a page of docs/, in order, as one script: so that a page cannot say what does not work.

A command is a fenced block of `bash`. Where a rehearsal has to do something else than a reader, the page's source says
so in a comment of its own line above the block:

    <!-- rehearsal: skip: WHY -->             nothing
    <!-- rehearsal: instead: COMMAND -->      this
    <!-- rehearsal: also: ARGUMENTS -->       the block, with further arguments at its end
    <!-- rehearsal: before: COMMAND -->       this first, then the block
    <!-- rehearsal: after: COMMAND -->        the block, then this
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

NOTE = re.compile(r"^<!-- rehearsal: (?P<how>[a-z]+): (?P<what>.*) -->$")
HOWS = ("skip", "instead", "also", "before", "after")


@dataclass(frozen=True)
class Block:
    """One fenced block: `line` is the number of its first command."""

    line: int
    code: str
    how: str = ""
    what: str = ""

    @property
    def rehearsed(self) -> str:
        """What a rehearsal runs."""
        match self.how:
            case "skip":
                return f"say {shlex.quote('left out: ' + self.what)}"
            case "instead":
                return self.what
            case "also":
                return f"{self.code} {self.what}"
            case "before":
                return f"{self.what}\n{self.code}"
            case "after":
                return f"{self.code}\n{self.what}"
        return self.code


def blocks(page: str) -> Iterator[Block]:
    """The page's commands. Raises ValueError for a note that says nothing we know, or stands above no block."""
    note, fence, code = None, 0, list[str]()
    for number, line in enumerate(page.splitlines(), 1):
        if fence and line == "```":
            yield Block(fence + 1, "\n".join(code), *(note or ("", "")))
            note, fence, code = None, 0, []
        elif fence:
            code.append(line)
        elif line == "```bash":
            fence = number
        elif found := NOTE.match(line):
            if found["how"] not in HOWS or note:
                raise ValueError(f"line {number}: {line}")
            note = (found["how"], found["what"])
        elif note or "rehearsal:" in line:
            raise ValueError(f"line {number}: a note of the rehearsal stands above no block")


def script(page: str, name: str) -> str:
    """All of it for bash, which says before each block where in `name` it stands."""
    return "\n".join(f"say {shlex.quote(f'{name}:{block.line}')}\n{block.rehearsed}" for block in blocks(page))
