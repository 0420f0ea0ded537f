"""Which credentials of a provider are missing, found without asking it.

litellm knows the variables of most providers (`validate_environment`). It does not know all
providers, and where there are several ways to authenticate it demands one of them. `_NEEDS` lists
the ways of those providers. Credentials in files or from the machine are looked for once, before a
run (`not_found`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from evolver.errors import UsageError

_EITHER_KEY = {"gemini"}  # one of the variables is enough
_SIGNING_IN = {"chatgpt", "github_copilot"}  # litellm starts a sign-in to find their key
_KEYLESS = {"ollama", "ollama_chat"}
_FOUND_ELSEWHERE = {"bedrock", "sagemaker", "vertex_ai"}  # in files, or from the machine

_Alternatives = Sequence[tuple[str, ...]]
#: Provider -> needs. A need is met by any of its ways, a way by all of its variables together. The
#: error recommends the first way. The second need is a key, which `key_env` meets as well.
_NEEDS: dict[str, Sequence[_Alternatives]] = {
    "azure": (
        (("AZURE_API_BASE",),),
        (
            ("AZURE_API_KEY",),
            ("AZURE_OPENAI_API_KEY",),
            ("AZURE_AD_TOKEN",),
            ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
            ("AZURE_CLIENT_ID", "AZURE_USERNAME", "AZURE_PASSWORD"),
        ),
    ),
    "databricks": (
        (("DATABRICKS_API_BASE",),),
        (("DATABRICKS_API_KEY",), ("DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET")),
    ),
    "watsonx": (
        (("WATSONX_API_BASE",), ("WATSONX_URL",), ("WX_URL",), ("WML_URL",)),
        (
            ("WATSONX_API_KEY",),
            ("WATSONX_APIKEY",),
            ("WX_API_KEY",),
            ("WATSONX_ZENAPIKEY",),
            ("WATSONX_TOKEN",),
        ),
        (
            ("WATSONX_PROJECT_ID",),
            ("WX_PROJECT_ID",),
            ("PROJECT_ID",),
            ("WATSONX_DEPLOYMENT_SPACE_ID",),
            ("WATSONX_SPACE_ID",),
            ("WX_SPACE_ID",),
            ("SPACE_ID",),
        ),
    ),
}


class Provider(NamedTuple):
    """Who provides a model, as litellm finds it from the name and the environment."""

    name: str
    key: str | None
    address: str | None


def provider_of(litellm: Any, model: str) -> Provider | None:
    """Return who provides a model; None where litellm would start a sign-in to find out.

    Raises:
        UsageError: litellm cannot tell.
    """
    if model.partition("/")[0] in _SIGNING_IN:
        return None
    try:
        _, name, key, address = litellm.get_llm_provider(model=model)
    except litellm.BadRequestError as error:
        raise UsageError(
            f"litellm cannot tell who provides {model!r}; write the name as PROVIDER/NAME, with a "
            "provider that it knows, or give the address of an endpoint (--api-base URL)"
        ) from error
    return Provider(name, key, address)


def missing(litellm: Any, model: str, *, has_key: bool) -> list[str]:
    """Return the environment's variables that a model's provider needs and that are not set.

    Args:
        litellm: the module.
        model: name of the model, with its provider.
        has_key: is there a key of the model's own?

    Raises:
        UsageError: litellm cannot tell who the provider is.
    """
    provider = provider_of(litellm, model)
    if provider is None or provider.name in _KEYLESS | _FOUND_ELSEWHERE:
        return []
    for empty in [n for n, value in os.environ.items() if n.endswith("_KEY") and not value]:
        del os.environ[empty]  # litellm takes an empty variable for a key
    if provider.name in _NEEDS:
        return _unmet(model, provider.name, has_key=has_key)
    if has_key:
        return []
    found = litellm.validate_environment(model=model)
    if not found["keys_in_environment"]:
        names: list[str] = found["missing_keys"]
        return [" or ".join(names)] if provider.name in _EITHER_KEY else names
    is_remote = provider.name in litellm.openai_compatible_providers and provider.address
    if is_remote and not provider.key:  # validate_environment does not know all of these
        return [f"{provider.name.upper().replace('-', '_')}_API_KEY"]
    return []


def _unmet(model: str, provider: str, *, has_key: bool) -> list[str]:
    """Return the recommended variable of each need that is not met."""
    if provider == "databricks" and find_spec("databricks"):
        return []  # its own library looks for credentials
    needs = list(_NEEDS[provider])
    if provider == "watsonx" and model.partition("/")[2].startswith("deployment/"):
        del needs[2]
    if has_key:
        del needs[1]
    return [ways[0][0] for ways in needs if not any(map(_are_set, ways))]


def _are_set(names: Collection[str]) -> bool:
    return all(os.environ.get(name) for name in names)


def not_found(litellm: Any, model: str) -> str:
    """Return which credentials are missing, where they may be in files or come from the machine.

    This may take seconds: the libraries ask whether the machine is one of the provider's.

    Returns:
        What the model needs, and how to come by it; "" where nothing is missing.

    Raises:
        UsageError: litellm cannot tell who the provider is.
    """
    provider = provider_of(litellm, model)
    if provider is None or provider.name not in _FOUND_ELSEWHERE:
        return ""
    if provider.name == "vertex_ai":
        return "" if os.environ.get("VERTEXAI_CREDENTIALS") else _google()
    is_set = litellm.validate_environment(model=model)["keys_in_environment"]
    return "" if is_set or os.environ.get("AWS_BEARER_TOKEN_BEDROCK") else _aws()


def _aws() -> str:
    try:
        boto3, exceptions = import_module("boto3"), import_module("botocore.exceptions")
    except ImportError:
        return "the package boto3: pip install boto3"
    try:
        found = boto3.Session().get_credentials()
    except exceptions.BotoCoreError as error:
        return f"AWS credentials; those of this machine cannot be read: {error}"
    if found is not None:
        return ""
    return "AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


def _google() -> str:
    try:
        auth, exceptions = import_module("google.auth"), import_module("google.auth.exceptions")
    except ImportError:
        return "the package google-auth: pip install google-auth"
    try:
        _, project = auth.default()
    except exceptions.GoogleAuthError:
        return (
            "Google credentials: set GOOGLE_APPLICATION_CREDENTIALS to the path of a key file, or "
            "run `gcloud auth application-default login`"
        )
    has_project = project or os.environ.get("VERTEXAI_PROJECT")
    return "" if has_project else "the name of a project: set VERTEXAI_PROJECT"
