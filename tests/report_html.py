"""Parse a report page: its tags, ids, marked cells and text."""

from html_page import HtmlPage


class ReportPage(HtmlPage):
    """Text of the cells with ``data-field`` or ``data-cell``, tags, ids and text of a page."""

    def __init__(self, html: str) -> None:
        self.ids: list[str] = []
        self.cells: dict[object, str] = {}
        self._metric: str | None = None
        self._field: object = None
        super().__init__(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        attributes = dict(attrs)
        if attributes.get("id"):
            self.ids.append(str(attributes["id"]))
        self._metric = attributes.get("data-metric", self._metric)
        if "data-cell" in attributes:
            self._field = attributes["data-cell"]
        elif "data-field" in attributes:
            self._field = (self._metric, attributes["data-field"])

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if self._field and data.strip():
            self.cells[self._field] = data.strip()
            self._field = None
