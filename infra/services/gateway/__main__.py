"""`python -m services.gateway`."""

from services.gateway.serve import main

main()
