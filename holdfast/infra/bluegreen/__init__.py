"""The release protocol: blue-green, journalled, with a written way back.

release.py and rollback.py hold the two protocols as tuples of steps; steps.py what each step does; operations.py what a
person asks for (deploy, rollback, promote, abort, resume); ports.py what is needed from other packages.
"""
