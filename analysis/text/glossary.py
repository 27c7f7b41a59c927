"""The words of pages and terminals, each with what it means: terms, sections, columns. Data alone, which ships where documents do not.

Objectives, health checks and the parts of a shape's label explain themselves where they are defined; `analysis.report.terms` adds them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One word and what it means."""

    name: str
    text: str
    """Short sentences, which stand alone."""
    spellings: tuple[str, ...] = ()
    """Other ways in which it is written in headings, columns and sentences."""

    @property
    def spelled(self) -> tuple[str, ...]:
        """Every way in which it is written."""
        return (self.name, *self.spellings)


TERMS = (
    Entry("Pareto front", "The shapes that no other shape beats in every objective together.", ("front", "fronts", "the front")),
    Entry("objective", "One of two or three numbers that a study judges shapes by, such as a latency.", ("objectives",)),
    Entry("knee", "The member of the front that lies furthest below the straight line, or the plane, between the front's ends."),
    Entry("recommended", "Of the members that cannot be told from the best in the first objective, the one that is best in another."),
    Entry("hypervolume", "The share of the box between zero and a corner that the front beats; larger is better. "
          "The corner is 1.1 times the worst reference in each objective."),
    Entry("importance", "How differently a dimension's values are spread among the best tenth of the finished shapes (five at least) and "
          "among all that finished, as a share over all dimensions: PED-ANOVA, arXiv 2304.10255."),
    Entry("expected hypervolume improvement", "What a shape that was not tried is expected to add to the hypervolume, its doubts "
          "counted in. The sampler `front` tries the shape that promises most."),
    Entry("membership probability", "The chance that no other tried shape truly beats this one, noise included.",
          ("on the front", "on front", "on the true front")),
    Entry("credible interval", "The range that holds the true value with 90 % probability, selection bias taken out.",
          ("credible intervals", "credible, 90 %", "credible", "90 % interval", "90 % intervals", "90 %")),
    Entry("selection bias", "What the best of many noisy numbers owes to chance: with another seed it is worse on average."),
    Entry("tie", "Two shapes tie where their order could well be the other way round with other seeds.", ("ties", "near-tie", "near-ties")),
    Entry("trial", "One shape that was tried: costs in closed form, latency, and a training.", ("trials",)),
    Entry("shape", "Depth, widths, heads, MLP and sharing of a decoder: what a study chooses. 30x576 9/3x64 f1536 is the label of one.",
          ("shapes",)),
    Entry("reference", "A shape that is trained for comparison and not proposed by the sampler.", ("references",)),
    Entry("proxy", "A short training that stands for a long one: a search needs its ranking of shapes, not its loss.", ("proxies",)),
    Entry("replicate", "One more training of a shape with another seed, which tells how much a seed moves the loss.", ("replicates",)),
    Entry("seed noise", "How far the losses of one shape lie apart because of the seed alone, as a standard deviation."),
    Entry("learning-rate bracket", "Trainings of a shape at half, once and twice the rate, to see whether its rank hangs on it."),
    Entry("rung", "A number of tokens at which early stopping looks at a training and may end it.", ("rungs",)),
    Entry("stopped early", "Ended at a rung, because it was unlikely to add to the front."),
    Entry("infeasible", "Finished, but beyond a limit of the study, and so on no front."),
    Entry("health check", "A number of a trained network that tells a known failure, such as heads that see one token only.",
          ("health checks",)),
    Entry("validation split", "Text that no training reads; the search judges by it.", ("validation", "held-out split")),
    Entry("test split", "Text that neither a training nor the search has read; measured once, after the search.", ("test",)),
    Entry("prefill", "Reading the prompt, all its tokens in one pass."),
    Entry("decode", "Making new tokens one by one, each of which reads the weights and the KV cache.", ("decoding", "decoded")),
    Entry("KV cache", "Keys and values of the tokens that were read, kept so that a new token need not read the text anew."),
    Entry("cold start", "From prepared files to the first token: loading, and the first prefill."),
    Entry("yardstick", "A fixed small model that is timed in turn with each shape, so that a change of the machine's pace cancels out."),
    Entry("disturbed", "Measured while other work moved the times more than the protocol lets pass."),
    Entry("protocol", "How a latency is taken: runtime, precision, threads, repeats, and what is timed."),
    Entry("device table", "Times of some shapes on a device, to which a model is fitted that predicts all others.", ("device's table",)),
    Entry("device transfer", "The front of a study as the table of another device predicts it; nothing is trained or measured."),
    Entry("calibration", "The short timing by which a study chooses threads, precision and compiled blocks for its trainings."),
    Entry("cooldown", "A branch of a training that lets the learning rate fall to zero earlier, and so gives the loss at fewer tokens.",
          ("cooldowns", "decay")),
    Entry("trunk", "The training from which cooldowns branch off."),
    Entry("forecast", "What a longer training is expected to give, from the losses at several lengths."),
    Entry("scaling law", "A formula for the loss by parameters N and training tokens D, fitted to many trainings.", ("law", "laws")),
    Entry("backtest", "The largest runs are hidden, the law is fitted to the rest and predicts them.", ("backtests",)),
    Entry("isoFLOP parabola", "A parabola through the losses of one budget of FLOPs by size; its minimum is the best size for that budget.",
          ("parabola", "parabolas")),
    Entry("Kendall's tau", "How well two rankings agree: 1 the same order, 0 no relation, -1 the reverse.", ("tau",)),
    Entry("FLOPs", "Additions and multiplications of numbers, counted in closed form."),
)  # fmt: skip
"""What pages and terminals say in many places."""

HEADINGS = (
    Entry("What was found", "The study in sentences: the front, the chosen shapes, and how sure that is."),
    Entry("The front", "Every shape by its objectives: figures, and a table with the references."),
    Entry("What was asked", "Budget, space, corpus and recipe of the study, and its YAML."),
    Entry(
        "What moves the loss",
        "Blocks, heads, key-value heads and sharing, each with the others held, by least squares over all shapes; beside "
        "them what longer trainings that ship with archfront say.",
    ),
    Entry("Question", "What a reader of a paper on small shapes asks."),
    Entry("Doubled", "What is doubled with the other things held, and what that costs in measured time."),
    Entry("Whose shapes", "Those of this study, or of longer trainings that ship with archfront."),
    Entry("Better", "Which way lowers the loss and how sure that is; that it hardly matters; or that it cannot be told."),
    Entry("change in bits per byte", "What one doubling does to the loss, in percent of it, with its 90 % interval; below zero is better."),
    Entry("The search", "Best so far, shapes as parallel coordinates, cold starts, and both losses."),
    Entry("Learning curves", "Loss on the validation split along each training."),
    Entry("After longer training", "What the front is expected to be at the study's target of tokens."),
    Entry("Whether the ranking can be trusted", "How well short trainings rank shapes as longer ones do."),
    Entry("Health checks", "Failures that are known to come with some shapes, looked for in each trained network."),
    Entry("Trials that did not finish", "How and why they ended."),
    Entry("What it cost", "Tokens, FLOPs and time of all trials."),
    Entry("Export", "Commands that write a shape's trained weights as files for other tools."),
    Entry("Environment", "Versions and machines, for who repeats the study."),
    Entry("How well it predicts", "The backtest of the law."),
    Entry("Predictions for larger runs", "Losses beyond the largest run, with the range that holds nine of ten new runs."),
    Entry("The law", "Its formula, its parameters, and how well the runs determine them."),
    Entry("The runs and the law", "Every loss beside what the law says of it."),
    Entry("Depth against width", "Predicted loss by depth and width at one number of tokens."),
    Entry("Sizes at equal FLOPs", "Parabolas of loss by size, one for each budget."),
    Entry("Residuals of the law", "Observed over predicted losses."),
    Entry("What was left out, and what to know", "Runs that were not fitted, and warnings."),
    Entry("The trainings", "Every finished loss of the grid."),
    Entry("Trainings that did not finish", "How and why they ended."),
    Entry("The predicted front", "The front as a device's table predicts it."),
    Entry("The device", "What the table was measured on, and how."),
    Entry("The fronts", "The fronts of several studies, one over the other."),
    Entry("What differs", "Every key in which the studies are not the same."),
    Entry("Terms", "What the words of the page mean."),
)
"""Headings of the pages."""

COLUMNS = (
    Entry("parameters", "Stored weights, the embedding included."),
    Entry("after", "Measured after the search, when nothing else ran."),
    Entry("in search", "Measured during the search, which chose by it."),
    Entry("before", "After the short training."),
    Entry("now", "After the study's own training."),
    Entry("then", "After the longer training."),
    Entry("most accurate", "The chance of the lowest loss of all."),
    Entry("front before", "Whether the shape was on the front of the promoted ones by the short training."),
    Entry("front after", "Whether it is on it by the long training."),
    Entry("predicted", "By the device's table; no measurement."),
    Entry("measured", "By the study, on its own device."),
    Entry("outcome", "How the trial ended.", ("how it ended",)),
    Entry("tokens trained", "Tokens that it had read when it ended."),
    Entry("why", "The reason that was recorded."),
    Entry("what and why", "Which training has no record, and the reason."),
    Entry("of the short training", "The share of the short training that was done at an evaluation."),
    Entry("from", "Lower end of the interval."),
    Entry("to", "Upper end of the interval."),
    Entry("short", "After the short training."),
    Entry("long", "After the long training."),
    Entry("value", "What the health check measured."),
    Entry("fails", "Values at which the health check fails."),
    Entry("what it means", "What is known to be wrong where the check fails."),
    Entry("what is measured", "The number that the health check looks at."),
    Entry("source", "Who described the failure."),
    Entry("largest hidden by", "The variable by which the largest runs were hidden: N, D or FLOPs."),
    Entry("seen up to", "The largest value that the fit saw."),
    Entry("furthest hidden, times that", "The largest hidden value over the largest seen one."),
    Entry("runs hidden", "Number of runs that were predicted."),
    Entry("mean error", "Mean of predicted over observed loss, less one; above 0 the law predicted too high a loss."),
    Entry("mean size of the error", "Mean of the errors without their signs."),
    Entry("90 % bands held", "Share of the hidden runs inside the band that was to hold nine of ten."),
    Entry("bands' mean width", "Width of the bands over the predicted loss."),
    Entry("parameter", "A number of the law that the runs decide."),
    Entry("fitted", "The value that fits the runs best."),
    Entry("standard error", "Standard deviation of the value over refits under other weights of the trainings."),
    Entry("loss expected", "What a new run is expected to have, in nats per token."),
    Entry("90 % of new runs", "The range that holds nine of ten new runs: doubt of the law, its rivals, residuals and backtests together."),
    Entry("the law itself, 90 %", "The range of the law's own doubt, without what a single run adds."),
    Entry("times outside the runs", "How far the point lies beyond the runs; predictions far outside are to be asked for."),
    Entry("by the forms", "What each rival formula predicts."),
    Entry("N", "Parameters that the law counts by."),
    Entry("D", "Training tokens."),
    Entry("width", "Hidden size.", ("widths",)),
    Entry("depth", "Blocks executed.", ("depths",)),
    Entry("repeats", "How often each stored block runs."),
    Entry("runs", "Number of losses."),
    Entry("best N", "Size at the minimum of the parabola."),
    Entry("best D", "Training tokens at the minimum of the parabola."),
    Entry("loss there", "Loss at the minimum of the parabola."),
    Entry("training", "One training of a grid.", ("trainings",)),
    Entry("seed", "What decides initial weights and the order of the data."),
    Entry("seeds", "Number of seeds that finished in every arm."),
    Entry(
        "losses, by tokens", "Validation loss in nats per token after each number of training tokens.", ("loss (nats per token) at tokens",)
    ),
    Entry("losses at", "Numbers of training tokens at which there is a loss."),
    Entry("name", "What the study calls it."),
    Entry("budget", "What the trainings of a row spend alike."),
    Entry("tokens", "Training tokens, branches included."),
    Entry("memory", "Most memory that a training takes."),
    Entry("disk", "Room for weights, checkpoints and records."),
    Entry("GPU hours", "Hours of one GPU of the stated hardware."),
    Entry("least GPUs", "GPUs that the memory of a step needs."),
    Entry("here", "Time on this machine, or what stands in the way."),
    Entry("question", "What the ablation asks."),
    Entry("arm against baseline", "The change that was made, and what it is compared with."),
    Entry("published, points", "Points of accuracy that the paper gives the arm; a star marks what is within the noise of its measure."),
    Entry("ours, bits per byte saved", "What the arm saves here, mean over the seeds."),
    Entry("conclusion", "Whether both agree, disagree, or ours cannot tell."),
    Entry("ms", "Milliseconds."),
    Entry("Stage", "Part of a run, from its start-up to its report."),
    Entry("Space", "Shapes that the study may choose from."),
    Entry("Search", "How shapes are proposed, and how many."),
    Entry("Corpus", "The text that is trained and judged on."),
    Entry("Recipe", "How each shape is trained."),
    Entry("Processor", "Time of processor cores in training and evaluation."),
    Entry("Time", "Time on the clock of the wall."),
    Entry("Trials ran on", "Machines of the trials, and how many ran on each."),
    Entry("fastest", "Of the front, the shape with the least time."),
    Entry("chosen", "What a team has decided for, with why, who and when: `archfront choose`."),
    Entry("front members", "Shapes on the front."),
    Entry("Study", "One of the studies of the page."),
    Entry("Key", "A key of the studies' YAML, or what their records say of text and device."),
    Entry("planned", "Seconds that were foretold of the stage when the study began."),
    Entry("took", "Seconds that the stage took in the runs that came to their end."),
)
"""Headings of the tables that a term does not explain."""
