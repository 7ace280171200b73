"""Questions about an explained run: named questions, SQL, and an interactive page."""
