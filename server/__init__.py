"""The coordinator: rounds, aggregation, ledger, its Flower ServerApp."""
