"""Questions to an explained run: named ones, SQL, and a page to explore it."""
