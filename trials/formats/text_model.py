"""A trained shape as a model of MLflow's that goes on with texts: this file goes with it, and runs where it is loaded, without archfront.

MLflow calls that models from code: nothing is pickled. `predict` takes texts, and gives each with what the shape writes after it.
"""

from __future__ import annotations

import warnings

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

CHECKPOINT = "checkpoint"
MOST_NEW_TOKENS = 64
# with hints MLflow would run the model as it writes it, and want transformers there
warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")


class Continuation(PythonModel):  # type: ignore[misc]
    """The most probable token after each text, and so on, to the end of the text or to `MOST_NEW_TOKENS`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read weights and tokenizer from the folder beside this file; nothing is fetched."""
        from transformers import AutoModelForCausalLM, AutoTokenizer  # where the model is loaded, not where it is written

        folder = context.artifacts[CHECKPOINT]
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._network = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Each text with its continuation; texts come as a list, or as the first column of a data frame."""
        texts = model_input.iloc[:, 0] if hasattr(model_input, "iloc") else model_input
        return [self._continued(str(text)) for text in texts]

    def _continued(self, text: str) -> str:
        asked = self._tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        written = self._network.generate(**asked, max_new_tokens=MOST_NEW_TOKENS, do_sample=False)
        return str(self._tokenizer.decode(written[0], skip_special_tokens=True))


set_model(Continuation())
