"""A page's commands become one script, and notes beside them are obeyed."""

from __future__ import annotations

import subprocess

import pytest

from lorikeet.testing.handbook import blocks, script

PAGE = """# Page

```bash
one
two
```

Words.

```
no command
```

<!-- rehearsal: NOTE -->
```bash
three
```
"""


def rehearsed(note: str) -> str:
    return list(blocks(PAGE.replace("NOTE", note)))[-1].rehearsed


def test_fenced_blocks_of_bash_are_the_commands_and_know_their_lines() -> None:
    plain = PAGE.replace("<!-- rehearsal: NOTE -->\n", "")
    assert [(block.line, block.code) for block in blocks(plain)] == [(4, "one\ntwo"), (15, "three")]


@pytest.mark.parametrize(
    ("note", "runs"),
    [
        ("instead: four", "four"),
        ("also: --more", "three --more"),
        ("before: four", "four\nthree"),
        ("after: four", "three\nfour"),
        ("skip: no such thing here", "say 'left out: no such thing here'"),
    ],
)
def test_a_note_says_what_a_rehearsal_does(note: str, runs: str) -> None:
    assert rehearsed(note) == runs


@pytest.mark.parametrize("page", [PAGE.replace("NOTE", "perhaps: four"), "<!-- rehearsal: skip: x -->\nwords\n"])
def test_a_note_that_nobody_obeys_is_an_error(page: str) -> None:
    with pytest.raises(ValueError, match="line"):
        list(blocks(page))


def test_the_script_says_where_it_stands_and_stops_at_the_first_failure() -> None:
    page = "```bash\nfirst=1\n```\n```bash\necho $first\nfalse\n```\n```bash\necho never\n```\n"
    done = subprocess.run(
        ["bash", "-c", f'set -e; say() {{ echo "at $*"; }}\n{script(page, "docs/x.md")}'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "at docs/x.md:2\nat docs/x.md:5\n1\n")
