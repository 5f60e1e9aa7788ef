"""Checks of a machine or a cluster before anything is started."""
