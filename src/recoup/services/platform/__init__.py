"""Who may come in and what they may do: gateway, identity, access, settings, flags, schemas, audit."""
