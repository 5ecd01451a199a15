"""The event log: append records, read what waits, commit progress with its effects. Knows no topic of anyone's."""
