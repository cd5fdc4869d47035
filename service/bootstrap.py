"""What the order service consists of, handed to the runtime."""

from importlib.metadata import PackageNotFoundError, version

from cqrs.runtime import Service, ServiceParts
from cqrs.telemetry.span_memory import SpanMemory
from service.adapters.schema import MIGRATIONS
from service.settings import OrderSettings

DISTRIBUTION = "cqrs-service-template"


def order_service(settings: OrderSettings, spans: SpanMemory | None = None) -> Service:
    """Assemble the order service; nothing is started yet.

    Args:
        settings: Every setting.
        spans: Keeps the latest traces, for whoever wants to draw them.
    """
    parts = ServiceParts(
        packages=("service.application", "service.adapters"),
        events=("service.domain",),
        migrations=MIGRATIONS,
        version=settings.service_version or _version(),
    )
    return Service(settings, parts, spans)


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a checkout whose packages alone were installed
        return "0"
