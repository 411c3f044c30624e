"""MLflow: runs, versions, champion, gate; the only package that imports mlflow."""
