"""The pages: ``/healthz`` for a supervisor, ``/readyz`` for a load balancer, ``/metrics`` for Prometheus.

Health is only that the process answers; readiness is proven each time it is asked for, part by
part, so that a broker whose listener died never looks alive.  None of them shows a patient.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mwl import metrics

Readiness: TypeAlias = Callable[[], Awaitable[Mapping[str, bool]]]
"""Asks each part (database, dicom, hl7) whether it can do its work now."""

Figures: TypeAlias = Callable[[], Awaitable[tuple[bytes, str]]]
"""Returns the figures as text, and its media type."""

Refresh: TypeAlias = Callable[[], Awaitable[None]]
"""Brings figures that are not counted as things happen up to date."""

Detail: TypeAlias = Callable[[], Mapping[str, object]]
"""Returns what else there is to tell."""

_NOT_STORED = {"Cache-Control": "no-store"}


def build(
    readiness: Readiness,
    refresh: Refresh | None = None,
    collect: Figures | None = None,
    detail: Detail | None = None,
) -> Starlette:
    """Return the ASGI application.

    *readiness* is asked at every request of ``/readyz``, *refresh* before every ``/metrics``; *collect*
    gives the figures, where they are not those of this process alone; *detail* is shown beside readiness,
    and changes nothing about it.
    """

    async def health(_request: Request) -> Response:
        return PlainTextResponse("alive\n", headers=_NOT_STORED)

    async def ready(_request: Request) -> Response:
        parts = dict(await readiness())
        missing = [name for name, able in parts.items() if not able]
        body = {"ready": not missing, "not_ready": missing, "parts": parts, **(detail() if detail else {})}
        return JSONResponse(body, status_code=503 if missing else 200, headers=_NOT_STORED)

    async def figures(_request: Request) -> Response:
        if refresh is not None:
            await refresh()
        text, media_type = await collect() if collect else metrics.exposition()
        return Response(text, media_type=media_type)

    pages = {"/healthz": health, "/readyz": ready, "/metrics": figures}
    return Starlette(routes=[Route(path, page) for path, page in pages.items()])
