"""The OpenAPI 3.1 description, made from the declarations of the endpoints."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from gateway.api.endpoint import Answer, Endpoint, Parameter
from gateway.api.problem import CONTENT_TYPE

ALWAYS = (400,)  # not HTTP, or an argument that the address does not take
PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened and what to do."},
        "cursor": {"type": "string", "description": "With 410: the current epoch's first cursor."},
    },
}


def describe(endpoints: Iterable[Endpoint], version: str) -> dict[str, Any]:
    """Describe every listed endpoint; ``version`` is the gateway's."""
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        if endpoint.listed:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Linli gateway",
            "version": version,
            "description": "Pull records by cursor, acknowledge them, fetch their media, and see how the gateway is.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    responses = {str(status): _answer(answer) for status, answer in endpoint.answers.items()}
    for status in sorted({*ALWAYS, *endpoint.errors}):
        content = {CONTENT_TYPE: {"schema": PROBLEM_REFERENCE}}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    operation: dict[str, Any] = {
        "operationId": endpoint.work.__name__,
        "summary": endpoint.summary,
        "responses": responses,
    }
    if endpoint.parameters:
        operation["parameters"] = [_parameter(parameter) for parameter in endpoint.parameters]
    if endpoint.body is not None:
        _, shapes = msgspec.json.schema_components([endpoint.body])
        schema = shapes[endpoint.body.__name__]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if endpoint.open:
        operation["security"] = []
    return operation


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.text}
    if answer.content_types:
        content = {} if answer.schema is None else {"schema": answer.schema}
        described["content"] = dict.fromkeys(answer.content_types, content)
    if answer.links:
        described["links"] = answer.links
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.text,
        "schema": dict(parameter.schema),
    }
