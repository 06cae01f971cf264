"""The command ``fer-study``: exit code 0 done, 1 failed work, 2 wrong input; errors are one
line."""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from .settings.errors import InputError

log = logging.getLogger("fer_study")

_DOCTOR_CODES = (
    "Exit codes: 0 no problems (notes are none), 2 problems, or nothing that can be read."
)
_IMPORT_CODES = (
    "Exit codes: 0 written, and the doctor's problems are counted; "
    "2 wrong input, and nothing is written."
)


def duration(text: str) -> float:
    """A finite number from 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: a number from 0")
    return value


def at_least_one(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: a whole number from 1")
    return int(text)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command in one line, as everything else here does."""

    intermixed = False
    """Whether what has no option may stand behind options: ``train smoke --jobs 4 03``."""

    def parse_known_args(self, args=None, namespace=None):
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        self.intermixed = False  # it calls this function
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(prog="fer-study", description=__doc__)
    parser.add_argument(
        "--data", help="data root; default: $FER_STUDY_DATA, then data/ of the checkout"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    add_data_commands(commands)
    plan = commands.add_parser(
        "plan", help="what an edition, or a page of it, still needs, and what it costs"
    )
    train = commands.add_parser("train", help="train what an edition, or a page of it, still needs")
    train.add_argument(
        "--minutes", type=duration, help="stop after so many minutes; a later call goes on"
    )
    train.add_argument("--only", metavar="PATTERN", help="shell pattern over name/model/seed/key")
    train.add_argument(
        "--again", action="store_true", help="also what is published: its weights come with it"
    )
    train.add_argument("--jobs", type=at_least_one, default=1, help="processes on this machine")
    train.add_argument("--scheduler-file", help="of a Dask cluster, instead of processes here")

    execute = commands.add_parser("execute", help="execute the notebooks of an edition")
    publish = commands.add_parser(
        "publish", help="copy the records of an edition, or of a page of it, to results/"
    )
    for command in (plan, train, execute, publish):
        command.intermixed = True
        command.add_argument("edition", help="name of a folder of params/, e.g. fer2013")
        command.add_argument(
            "stage", nargs="*", help="e.g. 03_model_comparison or 03; default: all"
        )
        command.add_argument(
            "-p",
            nargs=2,
            action="append",
            default=[],
            metavar=("NAME", "VALUE"),
            help="other parameters",
        )

    add_labs_command(commands)
    claims = commands.add_parser("claims", help="the verdict on every claim of the sources")
    claims.add_argument(
        "--id",
        metavar="PATTERN",
        default="*",
        help="shell pattern over ids, e.g. 'ladder-*'; one id shows its statement too",
    )
    claims.add_argument(
        "--open", action="store_true", help="what is missing, and the command that would settle it"
    )
    claims.add_argument(
        "--json",
        action="store_true",
        help="everything: quotations, parts, intervals, keys of records",
    )

    new = commands.add_parser("new", help="write the parameters of an edition on other data")
    new.add_argument("edition", help="name of the folder to be written in params/")
    new.add_argument("--like", metavar="EDITION", default="fer2013", help="default: fer2013")
    new.add_argument(
        "--dataset", metavar="NAME", default="folders", help="as the doctor says; default: folders"
    )
    add_model_commands(commands)
    diff = commands.add_parser("diff", help="compare two records; exit code 1 where they differ")
    diff.add_argument("a", metavar="A", help="a key, its first six digits or more, or a folder")
    diff.add_argument("b", metavar="B", help="as A")
    return parser


def add_model_commands(commands: argparse._SubParsersAction) -> None:
    """``predict``, ``demo`` and ``export``, which use a network that is trained."""
    predict = commands.add_parser(
        "predict",
        help="what a trained network says of the faces in pictures",
        description="A picture without a face is no error; a file that cannot be read is, "
        "and the others are still done.",
    )
    predict.add_argument("paths", nargs="+", metavar="PATH", help="a picture, a folder or a video")
    predict.add_argument(
        "--model", metavar="FOLDER|KEY", help="of `export`, or a run; default: the shipped model"
    )
    predict.add_argument(
        "--box",
        nargs=4,
        type=int,
        metavar=("X", "Y", "W", "H"),
        help="where the face is, in pixels",
    )
    predict.add_argument("--whole", action="store_true", help="each picture is one face")
    predict.add_argument("--level", type=float, default=0.9, help="of the sets; default: 0.9")
    predict.add_argument(
        "--every",
        type=duration,
        default=1.0,
        metavar="SECONDS",
        help="between two frames of a video; 0: every frame; default: 1",
    )
    predict.add_argument("--csv", metavar="FILE", help="write a row a face; -: to standard output")
    predict.add_argument("--json", metavar="FILE", help="the same as JSON")
    predict.add_argument("--cam", metavar="FOLDER", help="write pictures with a map over each face")
    demo = commands.add_parser(
        "demo",
        help="a page in the browser: what a network says of the faces before a camera",
        description="Nothing leaves this machine. Ctrl-C ends it.",
    )
    demo.add_argument("--model", metavar="FOLDER|KEY", help="as of `predict`")
    demo.add_argument("--port", type=int, default=0, help="default: one that is free")
    demo.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="default: this machine alone; at any other, the page asks for a token",
    )
    demo.add_argument("--no-browser", action="store_true", help="only print the address")
    export = commands.add_parser("export", help="write a trained network as a folder of its own")
    export.add_argument("key", metavar="KEY", help="of a run with weights, or its first six digits")
    export.add_argument("--to", metavar="FOLDER", help="default: models/KEY")
    export.add_argument("--half", action="store_true", help="weights in half precision")
    export.add_argument(
        "--weights",
        choices=("last", "best"),
        default="last",
        help="of the last epoch, or of the best on validation; default: last",
    )
    export.add_argument("--onnx", action="store_true", help="also as model.onnx, compared")
    export.add_argument(
        "--size", type=int, default=48, help="side of the images of its dataset; default: 48"
    )


def add_labs_command(commands: argparse._SubParsersAction) -> None:
    """``labs``, which writes, executes and marks them."""
    labs = commands.add_parser(
        "labs", help="student and solution versions of the labs, written to labs/"
    )
    labs.add_argument(
        "--pages",
        action="store_true",
        help="also execute the solutions into the book where out of date",
    )
    labs.add_argument(
        "--rehearse",
        action="store_true",
        help="execute the solutions: how long each takes, and its points",
    )
    labs.add_argument(
        "--grade",
        metavar="FOLDER",
        help="mark the notebooks in it, and write a row each; 2: one could not be read",
    )
    labs.add_argument(
        "--minutes",
        type=duration,
        default=10.0,
        help="for a submission, a tenth of it for a cell; default: 10",
    )
    labs.add_argument("--jobs", type=at_least_one, default=1, help="submissions at the same time")
    labs.add_argument(
        "--csv", metavar="FILE", default="-", help="of the marks; default: standard output"
    )
    labs.add_argument(
        "--nbgrader", metavar="FOLDER", help="write the labs there as sources of nbgrader"
    )


def add_data_commands(commands: argparse._SubParsersAction) -> None:
    """``data doctor`` and ``data import``, which read the same kinds of files."""
    actions = commands.add_parser("data", help="look at a dataset, or import it").add_subparsers(
        dest="action", required=True
    )
    doctor = actions.add_parser(
        "doctor", help="what is there, what is wrong, how to mend it", description=_DOCTOR_CODES
    )
    doctor.format_help = lambda: f"{argparse.ArgumentParser.format_help(doctor)}\n{_layouts()}\n"
    doctor.add_argument("--json", action="store_true", help="the report as JSON")
    words = "write a dataset in canonical form, once, so that later loads are instant"
    importer = actions.add_parser("import", help=words, description=_IMPORT_CODES)
    importer.add_argument(
        "--to", metavar="FOLDER", help="default: <dataset>.faces in the data root"
    )
    importer.add_argument("--size", type=int, default=48, help="side of the images; default: 48")
    importer.add_argument("--colour", action="store_true", help="three channels instead of gray")
    importer.add_argument(
        "--skip-bad", action="store_true", help="leave out wrong rows and count them, by reason"
    )
    for command in (doctor, importer):
        command.add_argument("path", help="the file or folder of the dataset")
        command.add_argument("--dataset", help="where the files could be several, e.g. ferplus")
        command.add_argument(
            "--classes",
            type=_classes,
            default=7,
            help="7, or 8 with contempt; of class folders, names of your own: calm,tired,awake",
        )
        command.add_argument(
            "--annotation",
            default="majority",
            help="of FER+: majority, probability, crossentropy, multi_target",
        )


def _layouts() -> str:
    from .data import LAYOUTS  # here, for it takes a second to import

    return "\n".join(["layouts:", *(f"  {x.dataset}, {x.name}: {x.looks_like}" for x in LAYOUTS)])


def _classes(text: str) -> int | tuple[str, ...]:
    """Read ``--classes``: a number, or names with commas between them."""
    if "," not in text and text.strip().isdigit():
        return int(text)
    return tuple(name.strip() for name in text.split(","))


def data_command(args: argparse.Namespace) -> int:
    from . import data
    from .data.doctor import doctor, doubt_of, judge, render
    from .data.faults import blank_fault

    if args.action == "import":
        options = data.Options(args.size, args.classes, args.colour, args.annotation, args.skip_bad)
        faces, target = data.import_to(args.path, args.to, args.dataset, options)
        about = data.official.DATASETS[faces.name]
        log.info(
            "%d images of %s (labels: %s) written to %s, fingerprint %s",
            len(faces),
            about.title,
            about.labels,
            target,
            faces.fingerprint,
        )
        report = judge(faces)
        if report["blank"]["images"]:
            log.warning("%s", blank_fault(report["blank"])[0])
        problems = data.pluralise(len(report["problems"]) + bool(doubt_of(target)), "problem")
        own = args.classes if isinstance(args.classes, tuple) else ()
        named = f' --classes "{",".join(own)}"' if own else ""
        log.info("%s in it; see `fer-study data doctor %s%s`", problems, args.path, named)
        return 0
    report = doctor(
        args.path, args.dataset, data.Options(classes=args.classes, annotation=args.annotation)
    )
    sys.stdout.write(json.dumps(report, indent=1) + "\n" if args.json else render(report) + "\n")
    return 2 if report["problems"] else 0


def plan_command(args: argparse.Namespace) -> int:
    from .book import execute
    from .jobs import plan

    jobs = execute.needed(args.edition, args.stage, dict(args.p))
    if not jobs:
        sys.stdout.write("nothing is needed\n")
        return 0
    table = plan.table(jobs)
    missing = [
        job
        for job, state in zip(jobs, table["state"], strict=True)
        if state not in ("done", "published")
    ]
    shown = table.drop(columns="reason").rename(columns={"seconds": "time"})
    shown["time"] = shown["time"].map(plan.lasting)
    sys.stdout.write(f"{shown.to_string(index=False)}\n{plan.summary(table)}\n")
    sys.stdout.writelines(
        f"{line}\n" for line in (*plan.obstacle_lines(table), *plan.data_lines(missing))
    )
    return 0


def train_command(args: argparse.Namespace) -> int:
    from .book import execute
    from .jobs import plan

    start = time.monotonic()
    jobs = [
        replace(x, again=args.again)
        for x in execute.needed(args.edition, args.stage, dict(args.p))
        if plan.matches(x, args.only)
    ]
    if args.only and not jobs:
        raise InputError(f"--only {args.only!r} matches no run; fer-study plan lists them")
    deadline = None if args.minutes is None else start + 60 * args.minutes
    made, left = plan.train_jobs(
        jobs,
        deadline=deadline,
        parallel=args.jobs,
        scheduler_file=args.scheduler_file,
        root=args.data,
    )
    log.info("%d runs made in %.0f s, %d left", made, time.monotonic() - start, left)
    return 0


def execute_command(args: argparse.Namespace) -> int:
    from .book import execute

    return execute.run(args.edition, args.stage, dict(args.p), root=args.data)


def labs_command(args: argparse.Namespace) -> int:
    from .book.labs import grading, nbgrader, versions

    if args.grade:
        return grading.grade(args.grade, args.csv, args.minutes, args.jobs)
    if args.nbgrader:
        nbgrader.write(Path(args.nbgrader))
        return 0
    versions.write()
    codes = [versions.pages()] if args.pages else []
    codes += [versions.rehearse()] if args.rehearse else []
    return max(codes, default=0)


def publish_command(args: argparse.Namespace) -> int:
    from . import store
    from .book import execute
    from .jobs import editions, queue
    from .settings.checkout import CHECKOUT

    if CHECKOUT is None:
        raise InputError(
            "publish: records are published to a checkout of the repository, and this is an "
            "installed package"
        )
    queue.check_store(store.published_root())
    world = editions.load_edition(args.edition)
    listed = execute.needed(args.edition, args.stage, dict(args.p))
    everything = [job for job in listed if world.publishes(job.recipe)]
    found = [record for job in everything if (record := job.record())]
    local = [record for record in found if not store.is_published(record)]
    refused = sum(store.is_damaged(job.key) for job in everything)  # the log names them
    made = replaced = 0
    for record in local:
        again = (store.published_root() / record.key / "done").is_file()
        try:
            store.publish(record)
            made, replaced = made + 1, replaced + again
        except InputError as reason:
            refused += 1
            log.error("fer-study: not published: %s", reason)
    log.info(
        "%d records published to %s, %d of them in place of an older copy; "
        "%d more were there already; %d of the %d that were asked for of edition %s are missing",
        made,
        store.published_root(),
        replaced,
        len(found) - len(local),
        len(everything) - len(found),
        len(everything),
        args.edition,
    )
    return 1 if refused else 0


def claims_command(args: argparse.Namespace) -> int:
    from .analysis import claims, ledger

    verdicts = ledger.ledger(names=claims.matching(args.id).index)
    if args.json:
        sys.stdout.write(
            json.dumps([ledger.as_dict(verdict) for verdict in verdicts], indent=1) + "\n"
        )
        return 0
    if len(verdicts) == 1:
        claim, row = verdicts[0], claims.load().loc[verdicts[0].claim]
        sys.stdout.write(
            f"statement  {row['statement']}\nquotation  {claim.quote}\n"
            f"source     {claims.place(claim.where)}\n\n"
        )
    sys.stdout.write(
        ledger.render(ledger.open_table(verdicts) if args.open else ledger.table(verdicts))
    )
    counts = collections.Counter(verdict.category for verdict in verdicts)
    log.info(
        "%d claims: %s", len(verdicts), ", ".join(f"{n} {word}" for word, n in counts.most_common())
    )
    return 0


def diff_command(args: argparse.Namespace) -> int:
    from .store import diff

    found = diff.compare(diff.find(args.a), diff.find(args.b))
    sys.stdout.write(diff.render(found))
    return 1 if found.verdict == diff.DIFFERENT else 0


def predict_command(args: argparse.Namespace) -> int:
    from .inference.predicting import NO_FACE, predict
    from .inference.report import check_target, render, write

    targets = {"csv": args.csv, "json": args.json}
    for target in targets.values():
        check_target(target)
    table = predict(
        args.paths,
        args.model,
        box=args.box,
        whole=args.whole,
        level=args.level,
        every=args.every,
        cam=args.cam,
        progress=True,
    )
    for kind, target in targets.items():
        write(table, kind, target)
    if "-" not in targets.values():
        sys.stdout.write(render(table))
    failed = ~table["problem"].isin(["", NO_FACE])
    log.info(
        "%d faces; %d pictures without a face; %d that could not be read",
        (table["problem"] == "").sum(),
        (table["problem"] == NO_FACE).sum(),
        failed.sum(),
    )
    return 2 if failed.any() else 0


def demo_command(args: argparse.Namespace) -> int:
    from .inference.demo import run
    from .inference.model_folder import open_model

    run(open_model(args.model), args.host, args.port, not args.no_browser)
    return 0


def export_command(args: argparse.Namespace) -> int:
    from .inference import from_record, load, save
    from .inference.onnx_model import check_installed, export

    if args.onnx:
        check_installed()  # before anything is written
    model = from_record(args.key, args.size, args.weights, args.data)
    folder = Path(args.to or f"models/{model.settings.record}")
    save(model, folder, args.half)
    size = (folder / "model.safetensors").stat().st_size
    log.info("%s written to %s, %.2f MB of weights", model.settings.name, folder, size / 1e6)
    if args.onnx:
        log.info("%s", export(load(folder), folder, args.data))
    return 0


def new_command(args: argparse.Namespace) -> int:
    from .jobs.new_edition import new_edition

    folder, left_out = new_edition(args.edition, args.like, args.dataset)
    written = sorted(path.stem for path in folder.glob("*.yaml") if path.stem != "edition")
    log.info("%s: %s", folder, ", ".join(written))
    for stage, reason in left_out.items():
        log.info("left out: %s: %s", stage, reason)
    log.info("next: fer-study plan %s", args.edition)
    return 0


class Terminated(KeyboardInterrupt):
    """Somebody asked this process to end, as schedulers do when the time is over."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM is an exception here, so that what was started ends too."""
    if threading.current_thread() is not threading.main_thread():  # no other may ask for signals
        yield
        return

    def end(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def settle_places(args: argparse.Namespace) -> None:
    """Make absolute what is relative to the folder of the call: notebooks and workers run in
    others.

    Raises:
        InputError: there is nothing at ``--data``, or no folder where records are to be written.
    """
    if args.data:
        if not os.path.exists(args.data):
            raise InputError(f"--data {args.data}: no such file or folder")
        args.data = os.environ["FER_STUDY_DATA"] = os.path.abspath(args.data)
    for name in ("FER_STUDY_DATA", "FER_STUDY_RUNS", "FER_STUDY_WEIGHTS"):
        if place := os.environ.get(name):
            os.environ[name] = os.path.abspath(place)
    store = os.environ.get("FER_STUDY_RUNS", "")
    there = next((p for p in (store, *map(str, Path(store).parents)) if os.path.exists(p)), "")
    if store and not os.path.isdir(there):
        raise InputError(
            f"FER_STUDY_RUNS={store}: {there} is a file, allowed: a folder for records"
        )


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("distributed", "papermill"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    args = build_parser().parse_args(arguments)
    commands = {
        "data": data_command,
        "plan": plan_command,
        "train": train_command,
        "execute": execute_command,
        "labs": labs_command,
        "publish": publish_command,
        "claims": claims_command,
        "diff": diff_command,
        "predict": predict_command,
        "export": export_command,
        "new": new_command,
        "demo": demo_command,
    }
    try:
        with terminable():
            settle_places(args)
            code = commands[args.command](args)
            sys.stdout.flush()  # here, where a closed pipe is met
            return code
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except InputError as error:
        log.error("fer-study: %s", error)
        return 2
    except Terminated:
        log.error("fer-study: terminated; run the same command again to go on")
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        log.error("fer-study: interrupted; run the same command again to go on")
        return 1
    except Exception as error:
        if os.environ.get("FER_STUDY_DEBUG"):
            raise
        log.error("fer-study: %s: %s (FER_STUDY_DEBUG=1 shows where)", type(error).__name__, error)
        return 1
