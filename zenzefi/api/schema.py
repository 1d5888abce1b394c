"""OpenAPI schema of drf-spectacular, plus the errors that all operations share."""

from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema

from accounts.api.api_token_authentication import scope_of

_ERROR = {
    "type": "object",
    "required": ["detail", "code"],
    "properties": {"detail": {"type": "string"}, "code": {"type": "string"}},
}
_BAD_INPUT = {
    "description": "An error, or field names with the errors of each field.",
    "anyOf": [_ERROR, {"type": "object", "additionalProperties": {}}],
}
_DESCRIPTIONS = {
    "400": "Bad input",
    "401": "The JWT is missing or not valid",
    "402": "Insufficient balance",
    "403": "Permission denied",
    "404": "Not found, or owned by another user",
    "405": "The method is not allowed",
    "409": "Not possible in the current state, or an idempotency conflict",
    "413": "The body is larger than 1 MiB",
    "415": "The body is not JSON",
    "429": "Too many requests; see Retry-After",
}


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the base class registers it
    """Security scheme of personal API tokens."""

    target_class = "accounts.api.api_token_authentication.ApiTokenAuthentication"
    name = "apiToken"

    def get_security_definition(self, auto_schema: SpectacularAutoSchema) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "zat_…",
            "description": "A personal API token with the scope of the call. Users create it in their profile.",
        }


class AutoSchema(SpectacularAutoSchema):
    """Schema of an operation with the shared error responses, unless the view declares its own."""

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for status in self._possible_errors():
            schema = _BAD_INPUT if status == "400" else _ERROR
            response = {"description": _DESCRIPTIONS[status], "content": {"application/json": {"schema": schema}}}
            bodies.setdefault(status, response)
        return bodies

    def get_auth(self) -> list[dict[str, Any]]:
        """Return the security schemes. API tokens, with their scope, are among them only if the view names one."""
        scope = scope_of(self.view, self.method)
        kept = [each for each in super().get_auth() if ApiTokenScheme.name not in each]
        return [*kept, {ApiTokenScheme.name: [scope]}] if scope else kept

    def _possible_errors(self) -> list[str]:
        errors = ["400", "405", "429"]
        if any(self.get_auth()):  # `[{}]` means no authentication
            errors += ["401"]
        if "/admin/" in self.path or scope_of(self.view, self.method):
            errors += ["403"]
        if "{" in self.path:
            errors += ["404"]
        if self.method in {"POST", "PUT", "PATCH", "DELETE"}:
            errors += ["409", "413", "415"]
        if self.path.endswith(("/tokens/purchase", "/extend")):
            errors += ["402"]
        return errors
