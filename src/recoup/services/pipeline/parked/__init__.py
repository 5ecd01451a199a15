"""Records a reader could not handle: kept, looked at, put back for that reader alone, or dismissed.

Consumes: `consumer-parked`. Emits: what is put back goes to the topic it came from. Owns: table `parked_records` in the
schema `pipeline`.
"""
