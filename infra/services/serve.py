"""Start a service by its name; only the one that is started is imported, since loading costs CPU."""

from services.common import process
from services.common.env import refuse_to_start
from services.common.seams import WrapApp, WrapStore, same_app, same_store


def serve(service: str, wrap_app: WrapApp = same_app, wrap_store: WrapStore = same_store) -> None:
    """Run `gateway` or `engine` until it is told to end."""
    if service == "gateway":
        from services.gateway.serve import gateway

        process.run(service, lambda: gateway(wrap_app))
    elif service == "engine":
        from services.engine.serve import engine

        process.run(service, lambda: engine(wrap_app, wrap_store))
    else:
        refuse_to_start("services", f"no service is named {service!r}; there are gateway and engine")
