"""Parse a report page: its tags, ids, marked cells and text."""

from html.parser import HTMLParser


class ReportPage(HTMLParser):
    """Text of the cells with ``data-field`` or ``data-cell``, tags, ids and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.cells: dict[object, str] = {}
        self.text = ""
        self._metric: str | None = None
        self._field: object = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append(tag)
        if attributes.get("id"):
            self.ids.append(str(attributes["id"]))
        self._metric = attributes.get("data-metric", self._metric)
        if "data-cell" in attributes:
            self._field = attributes["data-cell"]
        elif "data-field" in attributes:
            self._field = (self._metric, attributes["data-field"])

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._field and data.strip():
            self.cells[self._field] = data.strip()
            self._field = None
