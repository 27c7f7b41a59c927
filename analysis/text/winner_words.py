"""The words of what winners go through after a search: trained for real, asked, compared, tuned and judged. Data alone."""

from __future__ import annotations

from analysis.text.glossary import Entry

WINNER_TERMS = (
    Entry("passes", "How often a training goes through its text; what it reads more than four times is learnt by heart in part.",
          ("epochs",)),
    Entry("warm-up", "The first steps of a training, over which the learning rate rises to its peak.", ("warmup", "warmup_steps")),
    Entry("state", "Weights, optimizers and counts of a training on its way, from which the same command goes on bit for bit."),
    Entry("foreseen", "The loss that a study's records predict of a long training before its first step, with a 90 % interval."),
    Entry("task", "Questions whose right answer is known, such as piqa, in a file of that name.", ("tasks",)),
    Entry("log-likelihood", "The natural logarithm of the probability that a model gives a text after a prompt."),
    Entry("lm-evaluation-harness", "EleutherAI's program that asks models the questions of published tasks; `evaluate --harness` runs it.",
          ("harness",)),
    Entry("shots", "Examples with their answers that stand before each question."),
    Entry("against the first", "What a row has more or less than the first one, on the same documents and the same questions."),
    Entry("way", "How a model's weights are kept: float16, w8a8, int8, int4, prune50, prune50+int8, or as a runtime rounds them.",
          ("ways",)),
    Entry("float16", "Matrices in 16 bits; norms and biases stay in 32."),
    Entry("float32", "Every weight in 32 bits, as it was trained."),
    Entry("w8a8", "Int8 weights with a scale a row, and activations in int8 with a scale and a zero for each token."),
    Entry("int8", "Weights in 8 bits, with scales."),
    Entry("int4", "Weights in 4 bits, with scales."),
    Entry("prune50", "Half of the weights of each matrix of the blocks, the smallest, are 0. Any share may stand in place of 50.",
          ("pruning", "pruned")),
    Entry("retrain", "Training on after weights were left out, which stay 0."),
    Entry("stored bytes", "Every stored weight once, with its scales, and a bit a weight that says which are left where some are not.",
          ("stored",)),
    Entry("tuning", "Supervised fine-tuning: a model learns to give the answers of chats, and the loss counts answers alone.",
          ("tune", "tuned", "fine-tuning")),
    Entry("chat template", "How messages become one text, with the role of each; it goes with the files of a tuned model.", ("template",)),
    Entry("held-out loss", "Nats a token on answers of chats that were not learned from.", ("held-out chats",)),
    Entry("tool call", "An answer that calls a tool: `call: NAME ARGUMENTS`, a line each, the arguments as JSON.", ("tool calls",)),
    Entry("judge", "A model behind an endpoint that says which of two answers to one prompt is better."),
    Entry("calibrated", "Of a judge: with a model against itself neither a side nor a place is preferred, as far as the pairs tell."),
)  # fmt: skip
"""What `train`, `evaluate`, `compare`, `tune` and `judge` say in many places."""

WINNER_COLUMNS = (
    Entry("row", "Number of the row, by which the tables of a comparison name it."),
    Entry("model", "Directory and trial of a study, or the file or folder of a model."),
    Entry("questions", "How many were asked."),
    Entry("chance", "What guessing gives: one over the number of options, in percent."),
    Entry("accuracy", "Share of questions whose right text is the likeliest; a star where the interval holds chance.", ("accuracy, %",)),
    Entry("by letter", "Accuracy where each log-likelihood is divided by the letters of its text first; acc_norm of the harness."),
    Entry("mean", "Of the tasks, each counting alike."),
    Entry("metric", "Name of a figure of lm-evaluation-harness."),
    Entry("grade", "How surely a published figure is known; each letter is explained below the table."),
    Entry("answers", "Whose written answers were scored: those of before the tuning, or of after."),
    Entry("calls", "Held-out answers that must call a tool."),
    Entry("intent", "Share of those in which the right tools are called."),
    Entry("structure", "Share of those in which the whole call is right, its arguments and their values too."),
    Entry("texts", "Held-out answers that are text."),
    Entry("ROUGE-1", "Words that a written text and the expected one have in common, as the mean F-measure, in percent."),
    Entry("ROUGE-L", "The longest row of words that both have in common, as the mean F-measure, in percent."),
    Entry("comparison", "Whose answers are held against whose; the first row is a model against itself."),
    Entry("pairs", "Prompts whose two answers were judged twice, with the places swapped."),
    Entry("unread", "Pairs of which a reply of the judge was no verdict."),
    Entry("preferred", "Share of pairs in which the model that is named first is better, half a pair where neither is, in percent."),
    Entry("placed first", "Share of verdicts for the answer that stood first; one half where the place moves nothing."),
)
"""Headings of their tables that a term does not explain."""
