"""The verb that tunes a model on chats."""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import TYPE_CHECKING

from search_space.errors import SpecError, quoted
from search_space.sizes import written_number
from trials.catalogue.formats import FORMATS
from trials.commands.arguments import add_json, counted, few, names, positive, seed
from trials.commands.evaluate import add_which_trial, model_at, require_a_study, require_models
from trials.commands.paths import Use, given
from trials.commands.talk import DONE, at_width, emit, output_width, say
from trials.tuning.synthetic_api import SYNTHETIC, USUAL_CHATS

if TYPE_CHECKING:
    from trials.tuning.chat import Chat

KEPT_TO_JUDGE, MOST_HELD_OUT = 0.1, 500
"""Share of the chats that is kept for judging where no file of them is given, and how many at most."""
USUAL_EPOCHS, USUAL_BATCH = 3, 8
TUNED_FORMATS = tuple(name for name, row in FORMATS.items() if row.holds_chat)
"""Formats that carry a tokenizer with a chat template."""


def add_tune_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tune` reads."""
    add = parser.add_argument
    add("models", type=given("MODEL"), metavar="MODEL", nargs=1, help="a study's directory, a Hugging Face folder or a GGUF file")
    add_which_trial(parser)
    data = (
        f'chats as JSON lines, {{"messages": [{{"role": ..., "content": ...}}, ...]}}; or {SYNTHETIC}, dialogues that call tools, made '
        "from the seed"
    )
    add("--data", type=given("--data"), required=True, metavar="FILE", help=data)
    held_out = f"chats to judge by (default: a tenth of --data, {MOST_HELD_OUT} at most, drawn by the seed)"
    add("--held-out", type=given("--held-out"), metavar="FILE", help=held_out)
    add("--limit", type=positive, metavar="N", help=f"the first N chats of --data, or N synthetic ones (default {USUAL_CHATS:,} of these)")
    add("--output", type=given("--output", Use.FOLDER), required=True, metavar="FOLDER", help="where to")
    add(
        "--format",
        type=names,
        default=TUNED_FORMATS[0],
        metavar="LIST",
        help=f"{' and '.join(TUNED_FORMATS)}, with commas (default %(default)s)",
    )
    add("--keep-sharing", action="store_true", help="of hf, store a block that runs several times once, as export has it")
    add("--epochs", type=few, default=USUAL_EPOCHS, metavar="N", help="how often each chat is gone through (default %(default)s)")
    add("--batch-chats", type=few, default=USUAL_BATCH, metavar="N", help="chats of a step (default %(default)s)")
    add("--learning-rate", type=rate, metavar="RATE", help="AdamW's highest (default: 0.1 over the model's width)")
    add(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="of what is held out, the order of chats, and synthetic ones (default %(default)s)",
    )
    written = "answers to held-out chats that are written and scored (default 100 where chats call tools, else none)"
    add("--written", type=counted(100_000, least=0), metavar="N", help=written)
    add("--license", metavar="NAME", help="what the card states for the Hugging Face hub, such as apache-2.0 (default: unknown)")
    add("--force", action="store_true", help="replace files of the same names that no export wrote; others stay")
    add_json(parser)


def rate(text: str) -> float:
    """An argument that is a learning rate."""
    number = written_number(text)
    if number is None or not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and at most 1, such as 3e-4, found {quoted(text)}; correct it")
    return float(number)


def tune(options: argparse.Namespace) -> int:
    """Tune a model on the answers of chats, judge it on others, and write it with its chat template."""
    from trials.export.folder import require_creatable, require_own
    from trials.export.front_matter import require_license

    license_name = None if options.license is None else require_license(options.license)
    require_a_study(options)
    formats = options.format
    for name in formats:
        if name not in TUNED_FORMATS:
            raise SpecError(f"--format must be {' and '.join(TUNED_FORMATS)} where a model is tuned, found {quoted(name)}; correct it")
    shared = [name for name in TUNED_FORMATS if FORMATS[name].usage_shared]
    if options.keep_sharing and not {*shared} & {*formats}:
        raise SpecError(
            f"--keep-sharing must go with {' or '.join(shared)} in --format, found {', '.join(formats)}; add it, or leave it out"
        )
    learned, held_out = _chats(options)
    output, path = Path(options.output), Path(options.models[0])
    if output.resolve() in (path.resolve(), *([path.resolve().parent] if path.is_file() else [])):
        raise SpecError(f"--output must be another folder than that of the model which is tuned, found {output}; name another")
    require_own(output, options.force)
    require_models(options.models)
    require_creatable(output)
    return _tuned(options, learned, held_out, formats, license_name)


def _chats(options: argparse.Namespace) -> tuple[list[Chat], list[Chat]]:
    """Chats to learn from and chats to judge by; raises SpecError where there are too few."""
    from trials.tuning.chat import read_chats
    from trials.tuning.synthetic_api import parted_chats, synthetic_chats

    if options.data == SYNTHETIC:
        chats = synthetic_chats(options.limit or USUAL_CHATS, options.seed)
    else:
        chats = read_chats(Path(options.data), options.limit)
    if options.held_out is not None:
        return chats, read_chats(Path(options.held_out))
    if len(chats) < 4:
        raise SpecError(
            f"--data must have at least 4 chats where some are held out to judge by, found {len(chats)}; add some, or give --held-out"
        )
    wanted = max(2, min(MOST_HELD_OUT, int(KEPT_TO_JUDGE * len(chats))))
    if options.data == SYNTHETIC:
        learned, held_out = parted_chats(chats, wanted, options.seed)
        if not learned:
            raise SpecError(f"--limit must leave dialogues to learn from beside those to judge by, found none of {len(chats)}; name more")
        between = len(chats) - len(learned) - len(held_out)
        say(
            f"archfront: {len(held_out)} dialogues to judge by, no request of which is learned from; {between} in neither, which ask for "
            "both"
        )
        return learned, held_out
    kept = {*random.Random(options.seed).sample(range(len(chats)), wanted)}
    return [chat for place, chat in enumerate(chats) if place not in kept], [chats[place] for place in sorted(kept)]


def _tuned(options: argparse.Namespace, learned: list[Chat], held_out: list[Chat], formats: list[str], license_name: str | None) -> int:
    from trials.export.check import verified_text
    from trials.export.tune_model import TuningWish, tune_model

    model = model_at(Path(options.models[0]), options)
    wish = TuningWish(
        learned=learned,
        held_out=held_out,
        data=str(options.data),
        epochs=options.epochs,
        batch_chats=options.batch_chats,
        learning_rate=options.learning_rate,
        seed=options.seed,
        written=options.written,
        formats=formats,
        output=Path(options.output),
        license_name=license_name,
        keeps_sharing=options.keep_sharing,
    )
    result = tune_model(model, wish, lambda text: say(f"archfront: {text}"))
    if options.json:
        emit(result.found)
    else:
        print(at_width(result.text(width := output_width()), width, indent=2))
    say(f"{model.name}, tuned, is in {options.output}: {', '.join(file.name for file in result.files)}")
    say(verified_text(result.checks))
    return DONE
