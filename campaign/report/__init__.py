"""What finance takes away: the same rows as workbook, page, CSV and JSON, in one pass over the ledger."""
