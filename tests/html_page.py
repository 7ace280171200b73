"""Tags and text of an HTML page."""

from html.parser import HTMLParser
from typing import Any


class HtmlPage(HTMLParser):
    """Tags and text of a page.

    Parameters
    ----------
    html : str
        Source of the page.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Collect the tag."""
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text += data
