"""utcloud: an AI container cloud for a network of independent hardware owners."""
