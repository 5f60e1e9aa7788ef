"""Numbers read off runs and encoders: scores, statistics, embeddings, attention."""
