"""From sources into the ledger: one way in, for imports and live sessions alike."""
