"""`python -m services.engine`."""

from services.serve import serve

serve("engine")
