"""The room that wires the others: plain functions, their Prefect flows, configuration, the command line."""
