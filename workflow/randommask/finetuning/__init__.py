"""An encoder and a dataset in; scores and predictions out."""
