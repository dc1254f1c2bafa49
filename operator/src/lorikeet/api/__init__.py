"""The words: both kinds, their conditions and reasons, and the messages between our processes. No I/O here."""
