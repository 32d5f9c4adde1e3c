"""A request that gets no answer: status, code and text for the client, and whether it certainly was not executed."""


class Failure(Exception):
    """Answered as {"error": {"code", "message"}}. `not_executed` is said by `x-request-executed: no`."""

    def __init__(self, status: int, code: str, message: str, not_executed: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.not_executed = not_executed


def bad_request(message: str) -> Failure:
    """400: the client's mistake."""
    return Failure(400, "BAD_REQUEST", message)
