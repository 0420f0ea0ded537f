"""What can answer a prompt: LLM endpoints, a command, a person, a script."""

from evolver.models.command import CommandModel
from evolver.models.litellm import LiteLLMModel
from evolver.models.manual import ManualModel
from evolver.models.openai import OpenAIModel
from evolver.models.scripted import ScriptedModel

__all__ = ["CommandModel", "LiteLLMModel", "ManualModel", "OpenAIModel", "ScriptedModel"]
