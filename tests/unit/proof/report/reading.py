"""Reads a page with the standard library's parser, strictly: what is opened must be closed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = frozenset({"meta", "br"})


@dataclass
class Tag:
    """One element: its name, its attributes, and the text directly in it."""

    name: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Document(HTMLParser):
    """All elements of a page, in order."""

    tags: list[Tag] = field(default_factory=list)
    open: list[Tag] = field(default_factory=list)
    declaration: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_decl(self, decl: str) -> None:
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of {tag} is there twice"
        made = Tag(tag, {name: value or "" for name, value in attrs})
        self.tags.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for tag in self.open[-1:]:
            tag.text += data

    def named(self, name: str) -> list[Tag]:
        """All elements of a name."""
        return [tag for tag in self.tags if tag.name == name]


def read(page: str) -> Document:
    """The page's elements. Fails where they are not nested as they should be."""
    document = Document()
    document.feed(page)
    document.close()
    assert document.open == []
    return document


def pictures(page: str) -> list[ElementTree.Element]:
    """The charts as an XML parser reads them: SVG must be well-formed."""
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg xmlns=.*?</svg>", page, flags=re.DOTALL)]
