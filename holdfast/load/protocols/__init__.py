"""What a worker can speak: one module a kind of route, each with one exchange class."""

from holdfast.load.profile import HttpRoute, SseRoute
from holdfast.load.protocols.http import HttpExchange
from holdfast.load.protocols.sse import SseExchange

EXCHANGES: dict[type[HttpRoute], type[HttpExchange]] = {HttpRoute: HttpExchange, SseRoute: SseExchange}
"""The class that carries out one request of a route, by the route's type in the profile."""

__all__ = ["EXCHANGES", "HttpExchange", "SseExchange"]
