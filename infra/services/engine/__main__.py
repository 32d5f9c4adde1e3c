"""`python -m services.engine`."""

from services.engine.serve import main

main()
