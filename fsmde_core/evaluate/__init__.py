"""How good depths are: protocols, metrics, overlap consistency, reports."""
