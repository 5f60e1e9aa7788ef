"""What is asked for: the config and the datasets, and the jobs that follow from them."""
