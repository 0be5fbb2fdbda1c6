"""/openapi.json, made of the same table and shapes that the edge enforces."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from flexpeer import __version__
from flexpeer.api.edge import JSON, Route
from flexpeer.wire.api_operations import Health, TokenDocument
from flexpeer.wire.api_problems import MEDIA_TYPE, STATUS, Problem
from flexpeer.wire.api_public import PublicDayList

REFERENCE = "#/components/schemas/{name}"
ERRORS = sorted(set(STATUS.values()))
Json = dict[str, Any]
HEADERS = {
    "Idempotency-Key": "The same key and body again get the same answer, and nothing happens twice.",
    "If-Match": "The ETag of the order as it was seen; it is changed only if it is still so.",
    "Last-Event-ID": "The id of the last event heard, `day/n`; goes before `after`.",
}


def openapi_document(routes: Sequence[Route]) -> Json:
    """OpenAPI 3.1."""
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    for path, method, operation in _open_operations():
        paths.setdefault(path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "flexpeer",
            "version": __version__,
            "description": "Flexibility traded peer to peer; names and shapes of UMEI 1.0.0 where it has them.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {
                "client": {
                    "type": "oauth2",
                    "flows": {"clientCredentials": {"tokenUrl": "/api/token", "scopes": {}}},
                },
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
        "security": [{"client": []}],
    }


def _shapes(routes: Sequence[Route]) -> list[Any]:
    """Every shape of bodies and answers."""
    found = [Problem, Health, TokenDocument, PublicDayList]
    for route in routes:
        found += [shape for shape in (*route.answers.values(), *route.bodies.values()) if shape is not None]
    return found


def _schemas(routes: Sequence[Route]) -> Json:
    _, components = msgspec.json.schema_components(_shapes(routes), ref_template=REFERENCE)
    return {name: _plain(schema) for name, schema in sorted(components.items())}


def schema_of(shape: Any) -> Json:
    """A shape's schema, others by reference."""
    (schema,), _ = msgspec.json.schema_components([shape], ref_template=REFERENCE)
    plain: Json = _plain(schema)
    return plain


def _plain(schema: Any) -> Any:
    """Decimals are JSON numbers, of which texts are taken too."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        rest = {name: value for name, value in schema.items() if name not in ("type", "format")}
        return {"anyOf": [{"type": "number"}, {"type": "string", "format": "decimal"}], **rest}
    return {name: _plain(value) for name, value in schema.items() if value is not msgspec.UNSET}


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.path.split("/")[2]],
        "parameters": list(_parameters(route)),
        "responses": {str(status): _answer(route, shape) for status, shape in route.answers.items()} | _problems(),
    }
    if route.bodies:
        content = {media: {"schema": _body(shape)} for media, shape in route.bodies.items()}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def operation_id(route: Route) -> str:
    """The method, and the words of the path."""
    return route.method.lower() + "".join(word[:1].upper() + word[1:] for word in re.findall(r"\w+", route.path[4:]))


def _body(shape: Any) -> Json:
    return {"type": "string"} if shape is None else schema_of(shape)


def _answer(route: Route, shape: Any) -> Json:
    if route.media != JSON:
        return {"description": route.summary, "content": {route.media: {"schema": {"type": "string"}}}}
    if shape is None:
        return {"description": route.summary}
    return {"description": route.summary, "content": {JSON: {"schema": schema_of(shape)}}}


def _problems() -> Json:
    content = {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(name="Problem")}}}
    return {"default": {"description": "A problem document: not done, and why", "content": content}}


def _parameters(route: Route) -> Iterator[Json]:
    if "{id}" in route.path:
        yield {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    for name in route.headers:
        yield {"name": name, "in": "header", "description": HEADERS[name], "schema": {"type": "string"}}
    if route.query is None:
        return
    properties = msgspec.json.schema_components([route.query], ref_template="{name}")[1]
    shape = properties[route.query.__name__]
    for name, schema in shape["properties"].items():
        stated = {key: value for key, value in _without_null(schema, properties).items() if key != "default"}
        yield {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": _plain(stated)}


def _without_null(schema: Json, known: Json) -> Json:
    """What a query can say: a value or, by leaving the name out, none."""
    if "$ref" in schema:
        found: Json = known[schema["$ref"]]
        return found
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return _without_null(options[0], known) if "anyOf" in schema else schema


def _open_operations() -> Iterator[tuple[str, str, Json]]:
    """What needs no bearer token."""
    token = {
        "operationId": "postToken",
        "summary": "A bearer token for a client, by HTTP Basic",
        "tags": ["token"],
        "security": [{"basic": []}],
        "requestBody": {
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {"type": "object", "properties": {"grant_type": {"enum": ["client_credentials"]}}}
                }
            }
        },
        "responses": {"200": _json("A token", TokenDocument)} | _problems(),
    }
    yield "/api/token", "post", token
    public = {"200": _json("Days, rules, open books and results", PublicDayList)} | _problems()
    yield "/api/Public", "get", _open("getPublic", "What anybody may see: nobody's names", public)
    health = {"200": _json("It works", Health)}
    yield "/healthz", "get", _open("getHealthz", "Whether the program runs", health)
    ready = health | {"503": _json("It does not work", Health)}
    yield "/readyz", "get", _open("getReadyz", "Whether the market works", ready)
    text = {"200": {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    yield "/metrics", "get", _open("getMetrics", "Prometheus metrics", text)
    document = {"200": {"description": "This", "content": {JSON: {"schema": {"type": "object"}}}}}
    yield "/openapi.json", "get", _open("getOpenapi", "This document", document)


def _open(name: str, summary: str, answers: Json) -> Json:
    return {"operationId": name, "summary": summary, "tags": ["operations"], "security": [], "responses": answers}


def _json(meaning: str, shape: Any) -> Json:
    return {"description": meaning, "content": {JSON: {"schema": schema_of(shape)}}}
