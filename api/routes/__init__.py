"""The paths of the service, one module per noun; all of them stand under /api/v1."""
