"""Sources and bytes: a URI becomes a pinned revision, then verified files, then facts. Nothing here knows an engine."""
