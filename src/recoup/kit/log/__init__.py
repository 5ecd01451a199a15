"""The event log: append records, read what waits, commit progress together with its effects. Knows no topic of anyone's."""
