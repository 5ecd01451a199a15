"""Owner of the warehouse: analytics, reports, exports, lineage, privacy, reconciliation."""
