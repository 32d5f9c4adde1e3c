"""`python -m services.gateway`."""

from services.serve import serve

serve("gateway")
