"""The report of a run: one typed document with a published schema; Markdown, JUnit, HTML and text are views of it."""
