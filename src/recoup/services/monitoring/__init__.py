"""How the services and the shops are doing: metrics, anomalies, fraud, alerts, telemetry, security."""
