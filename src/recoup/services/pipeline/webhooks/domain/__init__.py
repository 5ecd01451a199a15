"""What platforms say: `signing` knows their headers, `story` what one delivery may tell, and a module each its topics.

Nothing here refuses a delivery for a value that is null, late, of another type, currency or version: a reader of
`kit.loose` that finds nothing leaves a field out.
"""
