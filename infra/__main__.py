"""Pulumi's program: `pulumi up` in this folder. The stack's name is STACK-ENVIRONMENT, such as sparkle-dev."""

from holdfast.infra.program.main import main

main()
