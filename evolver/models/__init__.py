"""LLM endpoints behind the `Model` port, and one that answers from a script."""

from evolver.models.litellm import LiteLLMModel
from evolver.models.openai import OpenAIModel
from evolver.models.scripted import ScriptedModel

__all__ = ["LiteLLMModel", "OpenAIModel", "ScriptedModel"]
