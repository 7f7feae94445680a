"""What is sent and what is answered, as pydantic models: one module a subject."""
