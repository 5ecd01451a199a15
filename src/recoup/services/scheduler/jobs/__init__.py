"""Jobs: what services offer to do by timer, run once when due, wherever and however many schedulers there are.

Consumes: `GET /internal/jobs` of every service. Emits: `POST /internal/jobs/{name}`, naming the run.
Owns: tables `jobs`, `runs`, `instances`; DBOS' system tables in the schema `scheduler_dbos`.
"""
