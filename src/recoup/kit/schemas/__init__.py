"""Schemas in three formats: read, compared, checked against. Knows nothing of who registers them or what events are.

source      a schema as it came: format, text, the texts it refers to
avro, json_schema, protobuf   one format each: reading
*_rules     which data written under one schema a reader with another can read, and the rule that says not
protoc      .proto text into descriptors; the one part that starts a process
validation  a value against a schema, with what is wrong by name
"""
