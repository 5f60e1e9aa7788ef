"""A fine-tuned model on one's own records, regions, variants and mutations."""
