"""The OpenAPI schema: drf-spectacular's, plus the errors that every operation shares."""

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema

_ERROR = {
    "type": "object",
    "required": ["detail", "code"],
    "properties": {"detail": {"type": "string"}, "code": {"type": "string"}},
}
_BAD_INPUT = {
    "description": "An error, or field names with what is wrong about each.",
    "anyOf": [_ERROR, {"type": "object", "additionalProperties": {}}],
}
_DESCRIPTIONS = {
    "400": "Bad input",
    "401": "No or no valid JWT",
    "402": "Insufficient balance",
    "403": "Not permitted",
    "404": "No such thing, or not yours",
    "405": "The method is not allowed here",
    "409": "The state forbids it, or an idempotency conflict",
    "413": "The body is larger than 1 MiB",
    "415": "The body is not JSON",
    "429": "Too many requests; see Retry-After",
}


class AutoSchema(SpectacularAutoSchema):
    """Adds the shared error answers to each operation; what a view declares itself wins."""

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for status in self._possible_errors():
            schema = _BAD_INPUT if status == "400" else _ERROR
            answer = {"description": _DESCRIPTIONS[status], "content": {"application/json": {"schema": schema}}}
            bodies.setdefault(status, answer)
        return bodies

    def _possible_errors(self) -> list[str]:
        errors = ["400", "405", "429"]
        if any(self.get_auth()):  # `[{}]` stands for: no authentication
            errors += ["401"]
        if "/admin/" in self.path:
            errors += ["403"]
        if "{" in self.path:
            errors += ["404"]
        if self.method in {"POST", "PUT", "PATCH", "DELETE"}:
            errors += ["409", "413", "415"]
        if self.path.endswith(("/tokens/purchase", "/extend")):
            errors += ["402"]
        return errors
