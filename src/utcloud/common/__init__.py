"""What every room may use: clock, ids, money, quantities, paging, errors, settings. Imports nothing of utcloud."""
