"""From an artifact to a smaller and quicker one, with proof (extra ``optimize``)."""
