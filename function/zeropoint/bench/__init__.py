"""What a model takes on this machine, and what that costs on Cloud Run."""
