"""A page as its readers find it: its elements with their text, without a browser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})


@dataclass
class Element:
    """One element with what stands in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of its text, spaces as one."""
        return " ".join("".join(c if isinstance(c, str) else f"{c.text} " for c in self.children).split())

    @property
    def classes(self) -> set[str]:
        """Its classes."""
        return set(self.attributes.get("class", "").split())

    def all(self, tag: str = "", of_class: str = "") -> list[Element]:
        """Every element in it, in the order of the page."""
        found = []
        for child in (c for c in self.children if isinstance(c, Element)):
            if tag in ("", child.tag) and (not of_class or of_class in child.classes):
                found.append(child)
            found += child.all(tag, of_class)
        return found

    def one(self, tag: str = "", of_class: str = "") -> Element:
        """The only such element."""
        (found,) = self.all(tag, of_class)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("document")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read_page(html: str) -> Element:
    """The page's elements (AssertionError where one is not closed)."""
    reader = _Reader()
    reader.feed(html)
    assert reader.open == [reader.root], [e.tag for e in reader.open]
    return reader.root
