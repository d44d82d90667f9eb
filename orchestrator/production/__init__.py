"""One pipeline over many targets, with a ledger of what was done."""
