"""The contact sheet of a store: what each session looks and sounds like, and what is wrong."""
