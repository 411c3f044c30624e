"""A trained model as files: contract, engine, export, reference."""
