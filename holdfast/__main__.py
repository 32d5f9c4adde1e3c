"""`python -m holdfast`"""

from holdfast.pipelines.cli import main

if __name__ == "__main__":
    main()
