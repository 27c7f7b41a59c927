"""What may stand on the command line: every verb with its options; nothing heavy is imported."""

from __future__ import annotations

import argparse
import shlex

from analysis.laws.options import ARGUMENTS
from trials.catalogue.formats import FORMATS, MODEL_FILES
from trials.catalogue.gguf_layout import PRECISIONS, USUAL_PRECISION
from trials.catalogue.runtimes import RUNTIMES

DEFAULT_CONTEXT_TOKENS = 2048
LARGEST_PORT = 65_535


def parser() -> argparse.ArgumentParser:
    """Every verb with its options; `options.verb` is its name, `job submit` with the blank between."""
    top = argparse.ArgumentParser(
        prog="archfront", description="Find the shapes of small language models that are best for accuracy and latency."
    )
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, text: str, of: str = "") -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.set_defaults(verb=of + name)
        return made

    def json_option(made: argparse.ArgumentParser, text: str) -> None:
        made.add_argument("--json", action="store_true", help=text)

    made = verb("plan", "say what a study will cost, training nothing")
    made.add_argument("study", metavar="STUDY", help="a study's or an ablation's YAML file")
    json_option(made, "print one JSON object")

    made = verb("describe", "print a shape's parameters, FLOPs, bytes and possible exports")
    made.add_argument("shape", metavar="NAME|FILE", help="a published shape such as mobilellm-125m, or an architecture's YAML or JSON file")
    made.add_argument(
        "--context-tokens",
        type=positive,
        default=DEFAULT_CONTEXT_TOKENS,
        metavar="N",
        help="length at which FLOPs and cache are counted (default %(default)s)",
    )
    made.add_argument("--device", metavar="TABLE", help="predict the latency, too: a file of profile-device or its name")
    json_option(made, "print one JSON object")

    made = verb("sample", "print distinct shapes of a study's space")
    made.add_argument("study", metavar="STUDY", help="a study's YAML file")
    made.add_argument("-n", "--count", type=positive, default=10, metavar="N", help="how many (default %(default)s)")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="which ones (default %(default)s)")
    json_option(made, "print one JSON object a line: architecture and parameters")

    made = verb("run", "run a study, or continue it; says where the time went before the first trial began")
    made.add_argument("study", metavar="STUDY", help="a study's YAML file")
    made.add_argument("--directory", metavar="DIR", help="where records, weights and report go (default runs/NAME)")
    made.add_argument("--address", metavar="ADDRESS", help="a running Ray cluster, such as auto (default: Ray is started on this machine)")
    made.add_argument("--tracking-uri", metavar="URI", help="MLflow's server or database (default: SQLite in the directory)")
    json_option(made, "print the front, or a scaling study's law, as JSON")

    made = verb("ablate", "train the arms of ablations and compare them with published figures")
    made.add_argument("file", nargs="+", metavar="FILE", help="ablations' YAML files, such as studies/mobilellm/depth-width.yaml")
    made.add_argument(
        "--directory", default="runs/ablations", metavar="DIR", help="where records go; the same one continues (default %(default)s)"
    )
    made.add_argument("--scale", default="proxy", metavar="NAME", help="which of a file's scales is trained (default %(default)s)")
    made.add_argument("--workers", type=positive, default=1, metavar="N", help="trainings side by side (default %(default)s)")
    json_option(made, "print the answers as JSON")

    made = verb("report", "write the report of a study's directory anew, and bring MLflow up to date")
    made.add_argument("directory", metavar="DIR", help="a study's directory")
    made.add_argument(
        "--device",
        metavar="TABLE",
        help="draw the front that another device's table predicts instead, as a page of its own: a file or a name of profile-device",
    )
    json_option(made, "print the front, or a scaling study's law, as JSON")

    made = verb("export", "write a trial's model in formats that other tools load")
    made.add_argument("directory", metavar="DIR", help="a study's directory")
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("--trial", type=int, metavar="N", help="the trial of that number")
    which.add_argument("--pick", choices=("recommended", "knee", "fastest", "most-accurate"), help="a member of the front")
    made.add_argument(
        "--format", default="hf,yaml", metavar="LIST", help=f"formats, with commas: {', '.join(FORMATS)} (default %(default)s)"
    )
    made.add_argument(
        "--gguf-precision",
        default=USUAL_PRECISION,
        choices=tuple(PRECISIONS),
        help=f"of the matrices in a GGUF file, llama.cpp's {', '.join(kind.lower() for kind in PRECISIONS.values())} (default %(default)s)",
    )
    made.add_argument("--output", metavar="PATH", help="where to (default DIR/exports/NUMBER)")

    precisions = tuple(dict.fromkeys(name for offer in RUNTIMES.values() for name in offer.precisions))
    made = verb("latency", "measure the latency of a shape on this machine")
    made.add_argument("shape", metavar="NAME|FILE", help="a published shape such as mobilellm-125m, or an architecture's YAML or JSON file")
    made.add_argument("--runtime", default="onnxruntime", choices=tuple(RUNTIMES), help="what runs the shape (default %(default)s)")
    made.add_argument("--precision", default="float32", choices=precisions, help="of the weights (default %(default)s)")
    made.add_argument("--prompt-tokens", type=positive, default=64, metavar="N", help="tokens of the prompt (default %(default)s)")
    made.add_argument("--new-tokens", type=positive, default=64, metavar="N", help="tokens decoded with the KV cache (default %(default)s)")
    made.add_argument("--context-positions", type=positive, nargs="+", metavar="N", help="time a decoded token after so many others, too")
    made.add_argument("--threads", type=positive, default=1, metavar="N", help="pinned threads (default %(default)s)")
    made.add_argument("--repeats", type=positive, default=5, metavar="N", help="timed repeats (default %(default)s)")
    made.add_argument(
        "--command", type=shlex.split, metavar="TEXT", help="what measures, quoted, where the runtime is command; see docs/runtimes.md"
    )
    made.add_argument("--format", choices=tuple(MODEL_FILES), help="of the files that a command is given (default onnx)")
    json_option(made, "print one JSON object")

    made = verb(
        "profile-device", "measure a few dozen shapes once, so that a device's latency is known for all others; or check a table's fit"
    )
    made.add_argument("study", metavar="STUDY", nargs="?", help="a study's YAML file: its space, sizes and workload")
    made.add_argument("--runtime", choices=tuple(RUNTIMES), help="in place of the study's")
    made.add_argument("--precision", choices=precisions, help="in place of the study's")
    made.add_argument("--shapes", type=positive, default=40, metavar="N", help="that are fitted, at most (default %(default)s)")
    made.add_argument("--checks", type=positive, default=10, metavar="N", help="further shapes that judge the fit (default %(default)s)")
    made.add_argument(
        "--output",
        metavar="FILE",
        help="the table; the same one continues (default: named in this user's cache folder; to be named where a command measures)",
    )
    made.add_argument("--trials", metavar="DIR", help="a study's directory whose trials' latencies are fitted too")
    made.add_argument("--fit", metavar="TABLE.csv", help="measure nothing: fit some rows of a published table and predict the others")
    made.add_argument("--column", default="latency_ms", metavar="NAME", help="milliseconds in that table (default %(default)s)")
    made.add_argument("--features", metavar="LIST", help="columns of that table, with commas, that are features beside the known ones")
    made.add_argument("--seeds", type=positive, default=5, metavar="N", help="fits of that table, to other rows each (default %(default)s)")
    json_option(made, "print one JSON object")

    made = verb("lr-check", "train a spread of shapes at several learning rates and say whether the study's suits them all")
    made.add_argument("study", metavar="STUDY", help="a study's YAML file")
    made.add_argument(
        "--directory", metavar="DIR", help="where the trainings are kept; the same command continues (default runs/NAME-lr-check)"
    )
    made.add_argument("--shapes", type=positive, default=6, metavar="N", help="from deep-thin to wide-shallow (default %(default)s)")
    made.add_argument(
        "--rates", type=positive, default=5, metavar="N", help="factors of 2 around the study's rates, an odd number (default %(default)s)"
    )
    made.add_argument("--tokens", type=positive, metavar="N", help="training tokens in place of the study's")
    json_option(made, "print one JSON object")

    made = verb(
        "validate", "train shapes of a study longer and say whether its short trainings rank them alike; what failed is tried again"
    )
    made.add_argument("study", metavar="STUDY", help="the YAML file of a study that has been run")
    made.add_argument("--directory", metavar="DIR", help="the study's directory; the same command continues (default runs/NAME)")
    made.add_argument("--shapes", type=positive, default=12, metavar="N", help="from the best to the worst loss (default %(default)s)")
    made.add_argument("--times", type=float, default=4.0, metavar="X", help="how many times longer (default %(default)g)")
    json_option(made, "print one JSON object")

    made = verb("promote", "train the shapes of a front longer and say whether their order held")
    made.add_argument("directory", metavar="DIR", help="the directory of a study that has been run; the same command continues")
    made.add_argument("--times", type=float, default=2.0, metavar="X", help="how many times longer, at most 8 (default %(default)g)")
    made.add_argument("--top", type=positive, metavar="N", help="those most likely on the front alone (default: its members and near-ties)")
    made.add_argument("--study", metavar="FILE", help="the study's YAML, where its corpus is named relative to it (default DIR/study.yaml)")
    json_option(made, "print one JSON object")

    made = verb("fit", "fit a scaling law to runs, with intervals and a backtest")
    made.add_argument(
        "runs",
        nargs="+",
        metavar="RUNS.csv|DIR",
        help="a table with a row for each run, or a study's directory; several directories are fitted together where their recipe is one",
    )
    for flag, settings in ARGUMENTS:
        made.add_argument(flag, **settings)
    json_option(made, "print one JSON object")

    made = verb("ui", "open MLflow's own interface on a study's directory, on localhost")
    made.add_argument("directory", metavar="DIR", help="a study's directory")
    made.add_argument("--port", type=port, default=5000, metavar="N", help="port on localhost (default %(default)s)")
    made.add_argument("--tracking-uri", metavar="URI", help="a database elsewhere that the study was tracked in")

    jobs = verbs.add_parser("job", help="run studies on a Ray cluster", description="Run studies on a Ray cluster.")
    verbs = jobs.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, text in (
        ("submit", "ship the code and a study to a cluster and print the job's id"),
        ("status", "print how a job stands"),
        ("logs", "print what a job printed"),
        ("stop", "stop a job; its records are kept"),
    ):
        made = verb(name, text, of="job ")
        if name == "submit":
            made.add_argument("study", metavar="STUDY", help="a study's YAML file")
            made.add_argument(
                "--directory", metavar="DIR", help="where the records go, an absolute path on the cluster (default ~/archfront/NAME there)"
            )
            made.add_argument("--tracking-uri", metavar="URI", help="MLflow's server or database (default: SQLite in the directory)")
        else:
            made.add_argument("job", metavar="JOB", help="the id that submit printed")
        if name == "logs":
            made.add_argument("--follow", action="store_true", help="go on until the job ends")
        made.add_argument("--address", required=True, metavar="URL", help="of the cluster's dashboard, such as http://127.0.0.1:8265")
    return top


def positive(text: str) -> int:
    """An argument that counts something."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, found {number}")
    return number


def port(text: str) -> int:
    """An argument that is a TCP port."""
    number = positive(text)
    if number > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"must be at most {LARGEST_PORT}, found {number}")
    return number
