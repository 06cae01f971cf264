"""Records to numbers: the table of runs, measurements, and the ledger of claims."""
