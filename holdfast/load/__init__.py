"""Load: open-model traffic whose every request is in the ledger, and the gates that judge what was recorded."""
