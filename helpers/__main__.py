"""python -m helpers fit | sample | page | info: train a model on your own data, draw from it, and see what it is; and
complete | odd | classify: put it to work on other files.

For the room: preflight looks at this computer, grade at learners' notebooks.

PyTorch is imported only when there is something to compute, so that the help comes at once.
"""

import argparse
import codecs
import os
import sys
import time
from collections.abc import Callable

DONE, USAGE, DATA, TRAINING, RUN, MEND, STOPPED = 0, 2, 3, 4, 5, 6, 130
CODES = """exit codes: 0 done, 2 wrong usage, 3 the data cannot be used, 4 training went wrong (or nothing could be
written), 5 the run cannot be read or continued, 6 preflight found something to mend, 130 stopped by Ctrl-C"""
PRIORS = ("normal", "gaussian", "mixture", "flow")  # helpers.priors.KINDS, which is slow to import
SCORES = ("nll", "typicality", "ratio", "reconstruction")  # helpers.uses.SCORES, slow to import as well
GRADES = """results: passed, not attempted, refused, error, time limit; not graded: the file is missing, damaged or no
lesson. Solution shown: the answer is ours or calls it, or is our code (but for names and comments) after solution()
was called. Our code without that is passed, with a remark: one or two statements that are the same prove nothing.
Notebooks run one after another, from the first cell to the last: ten seconds to about a minute for each, as each lesson
says at its top, so a class of 30 takes between five minutes and half an hour, or longer where cells do not end. A cell
has half of the seconds that are left of --limit."""
PROCESSES = "several processes: torchrun --nproc-per-node=2 -m helpers fit …"


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """A number above 0, of this kind."""

    def number(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not 0 < value < float("inf"):
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} above 0")
        return value

    return number


def seed(text: str) -> int:
    """A number that all generators of random numbers take."""
    if not text.isascii() or not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {2**32 - 1}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The commands, with an example for each."""
    plain = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="python -m helpers", description="Your own generative model, from a folder of images or sounds, or texts.",
        epilog=f"example: python -m helpers fit data/samples/leaves --size 48 --out leaves --minutes 2\n\n{CODES}",
        formatter_class=plain,
    )
    commands = top.add_subparsers(dest="command", required=True,
                                   metavar="fit | sample | page | info | complete | odd | classify | preflight | grade")

    def command(name, says, example):
        own = commands.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.", formatter_class=plain,
                                  epilog=f"example: python -m helpers {example}\n\n{CODES}")
        if name not in ("fit", "preflight", "grade"):
            own.add_argument("run", metavar="RUN", help="the folder that fit has made")
        return own

    fit = command("fit", "train a model, and the prior of its codes; score it, check it for copying, draw samples; "
                  "go on where it was stopped",
                  f"fit data/samples/leaves --size 48 --out leaves --minutes 2\n{PROCESSES}")
    fit.add_argument("path", metavar="PATH", help="a folder of images or sounds (subfolders are labels), or a text")
    fit.add_argument("--out", metavar="RUN", required=True, help="the folder for the model and all about it")
    fit.add_argument("--minutes", metavar="M", type=positive(float), help="how long all of it takes (2)")
    fit.add_argument("--epochs", metavar="E", type=positive(int), help="train for so many epochs instead, however long")
    fit.add_argument("--more", metavar="M", type=positive(float), help="go on with a finished run for M minutes")
    fit.add_argument("--kind", metavar="KIND", help="what the data are: image, sound or text (what most files are)")
    fit.add_argument("--size", metavar="S", type=positive(float),
                     help="pixels of a side (images, 28), seconds (sounds, 1), characters of a piece (text, 200)")
    fit.add_argument("--grey", action="store_true", default=None, help="make all images grey")
    fit.add_argument("--labels", choices=("yes", "no"), help="subfolders are labels (if most lie in some)")
    fit.add_argument("--groups", choices=("yes", "no"),
                     help="sounds of one name in several subfolders belong together, or not (unless it is a number)")
    fit.add_argument("--text", choices=("lines", "running"),
                     help="each line of a text is one item, or it is one running text (as it looks)")
    fit.add_argument("--model", metavar="NAME", help="the family of models: language for texts, else vae; "
                     "for texts also masked; for small images also masked, flow, flow-matching or gan, in "
                     "black and white also mixture")
    fit.add_argument("--code", metavar="K", type=positive(int), help="numbers in a code of a VAE (16, of sounds 8)")
    fit.add_argument("--prior", metavar="P", choices=PRIORS, help="what codes of a VAE are drawn from: normal is the "
                     "old way, the standard Normal; gaussian, mixture and flow are fitted to its codes in the last "
                     "part of the time (what suits them, by held-out codes)")
    fit.add_argument("--seed", metavar="S", type=seed, help="of the split, the weights and the noise (0)")
    fit.add_argument("--from", metavar="RUN", dest="start_from", help="start from the weights of another run")
    fit.add_argument("--device", metavar="D", help="cpu, cuda (a GPU) or mps; a GPU if there is one")
    fit.add_argument("--threads", metavar="T", type=positive(int), default=1,
                     help="for small models one is fastest, and gives the same numbers everywhere (1)")

    sample = command("sample", "draw from a finished run", "sample leaves -n 9 --label oak --seed 1 --out oaks.png")
    sample.add_argument("-n", metavar="N", type=positive(int), default=16, help="how many (16)")
    sample.add_argument("--label", metavar="L",
                        help="one label only; by default all in turn, from the same noise for each")
    sample.add_argument("--prior", choices=("normal",),
                        help="the old way: codes from the standard Normal, whatever was fitted")
    sample.add_argument("--seed", metavar="S", type=seed, default=0, help="another seed, other samples (0)")
    sample.add_argument("--out", metavar="FILE",
                        help="a PNG of images; a PNG of spectrograms, with FLAC or WAV files beside it; a text file, "
                        "which is printed if there is no FILE (samples)")

    page = command("page", "make one HTML file of a finished run that draws, writes or plays in any browser",
                   "page leaves --out leaves.html")
    page.add_argument("--out", metavar="FILE", required=True, help="the HTML file")

    command("info", "say what a run is: its data, its figures, its limits", "info leaves")

    complete = command("complete", "fill in what is missing in a file",
                       "complete leaves half.png -n 9 --label oak --out whole.png")
    complete.add_argument("file", metavar="FILE", help="an image, whose transparent part is missing; a sound; a text, "
                          "each line of which is a beginning")
    complete.add_argument("-n", metavar="N", type=positive(int), default=8, help="in how many ways (8)")
    complete.add_argument("--missing", metavar="M", help="what is missing. Of an image: left, right, top or bottom, or "
                          "X,Y,W,H in pixels of the file; of a sound: FROM-TO in seconds; of a text: the character "
                          "that stands for a missing one")
    complete.add_argument("--label", metavar="L", help="one label only; by default all in turn")
    complete.add_argument("--seed", metavar="S", type=seed, default=0, help="another seed, other ways (0)")
    complete.add_argument("--out", metavar="FILE", help="as of sample (completed)")

    odd = command("odd", "rank files, the oddest first, beside examples that the model has not learnt from",
                  "odd leaves my-photos")
    odd.add_argument("--by", choices=SCORES, default="nll",
                     help="what ranks: -log p (nll); how far that is from the usual; its ratio to a model of single "
                     "pixels; the error of what is rebuilt from the code")

    classify = command("classify", "say what files show, by the labels of a run; and how many are right, if they lie "
                       "in subfolders named after labels", "classify leaves my-photos")
    for one in (odd, classify):
        one.add_argument("folder", metavar="FOLDER", help="a folder of files like those of the run, or one file")

    preflight = command("preflight", "say whether the lessons will run on this computer, and if not, what to do",
                        "preflight")
    preflight.add_argument("--explain", metavar="CODE", help="only say what a code that preflight has printed means")

    grade = command("grade", "run learners' notebooks, and say which exercises pass",
                    f"grade class/*.ipynb --out t.csv\n\n{GRADES}")
    grade.add_argument("notebooks", metavar="NOTEBOOK", nargs="+", help="lessons that learners have worked in")
    grade.add_argument("--out", metavar="FILE", help="write the table there, as CSV; otherwise it is printed")
    grade.add_argument("--limit", metavar="S", type=positive(float), default=300, help="seconds for a notebook (300)")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code. Errors are one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plainly")
    try:
        given = parser().parse_args(arguments)
    except SystemExit as stop:  # argparse has said what was wrong, or has shown the help
        return int(stop.code or DONE)
    try:
        code = COMMANDS[given.command](given)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        _complain(_stopped(given))
        return STOPPED
    except BrokenPipeError:  # whoever read what is printed has seen enough, as in … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        return _answer(error)


def _plainly(error):
    """Characters that a console cannot show: signs as letters that look alike, all others as their numbers."""
    alike = {"×": "x", "–": "-", "—": "-", "…": "...", "’": "'", "“": '"', "”": '"', "±": "+-", "é": "e"}
    found = "".join(alike.get(c) or c.encode("ascii", "backslashreplace").decode() for c in
                    error.object[error.start : error.end])
    return found, error.end


codecs.register_error("plainly", _plainly)


def _answer(error) -> int:
    """Say an error that was meant for people, and which exit code it has; any other goes on."""
    from helpers.checkpoints import CheckpointError
    from helpers.data import DataError
    from helpers.disk import DiskError
    from helpers.runs import RunError
    from helpers.training import TrainingError

    kinds = ((DataError, DATA), (TrainingError, TRAINING), ((RunError, CheckpointError, DiskError), RUN),
             (ValueError, USAGE), (OSError, TRAINING), (MemoryError, TRAINING))
    for kind, code in kinds:
        if isinstance(error, kind):
            if isinstance(error, MemoryError):
                text = "Not enough memory; give a smaller --size, or fewer examples."
            elif isinstance(error, OSError):
                text = f"{error.filename or 'a file'}: cannot be read or written ({error.strerror}); check the disk."
            else:
                text = str(error)
            _complain(text)
            return code
    raise error


def _complain(text):
    if int(os.environ.get("RANK", 0)) == 0:
        print(" ".join(text.split()), file=sys.stderr, flush=True)


def _stopped(given):
    """What to say after Ctrl-C: whether anything is lost."""
    if given.command != "fit":
        return "Stopped; nothing was written."
    if os.path.exists(os.path.join(given.out, "training.json")):
        return f"Stopped; what was learned until the last save is in {given.out}, and the same command goes on there."
    return f"Stopped before anything was saved in {given.out}; the same command begins anew."


def _fit(given):
    since = time.perf_counter()
    import torch

    from helpers import device, disk, runs, senses

    torch.set_num_threads(given.threads)
    device(given.device)  # refused before anything is read, and so is a folder that holds something else
    first = int(os.environ.get("RANK", 0)) == 0
    if first:
        disk.Place(given.out).check()
    # What is not given is as the run was begun, if there is one.
    before = runs.begun_with(given.out).get("origin", {})
    origin = {name: before[name] if getattr(given, name) is None and name in before else getattr(given, name)
              for name in ("kind", "size", "seed")}
    said = {"yes": True, "no": False}
    options = {"grey": given.grey, "labels": said.get(given.labels), "groups": said.get(given.groups), "by": given.text}
    options = before.get("options", {}) | {name: value for name, value in options.items() if value is not None}
    data = senses.read(given.path, origin["kind"] or "auto", origin["size"], origin["seed"] or 0, given.out, **options)
    if first:
        data.describe()
    choices = {"code": given.code} if given.code else {}
    run = runs.fit(data, given.out, minutes=given.minutes, epochs=given.epochs, more=given.more, model=given.model,
                   seed=given.seed, start_from=given.start_from, device=given.device, prior=given.prior, since=since,
                   **choices)
    if first:
        print(f"samples: {', '.join(sorted(str(p) for p in run.path.glob('samples.*')))}")
        _legend(run.names)
        print(f"all of it, to be looked at: {run.path / 'report.html'}")
    return DONE


def _sample(given):
    import torch

    from helpers import runs

    torch.set_num_threads(1)
    run = runs.load(given.run)
    samples = run.sample(given.n, given.label, torch.Generator().manual_seed(given.seed), given.prior)
    if _put(run, samples, given.out, "samples"):
        _legend(run.names)
    return DONE


def _put(run, samples, out, otherwise):
    """Write samples and print where, to ``otherwise`` if no file is named; texts are then printed. Whether written."""
    from helpers import runs, senses

    own = senses.sense(run.kind)
    if own.PRINTED and out is None:
        [printed] = own.files(*samples).values()
        print(printed.decode(), end="")
        return False
    print("\n".join(map(str, runs.sheet(samples, out or otherwise, run.kind, run=run.path))))
    return True


def _legend(names):
    """Say which labels stand as numbers on a sheet, since no font here has their characters."""
    from PIL import features

    from helpers import plotting

    for number, (name, drawn) in enumerate(zip(names, plotting.writable(names, features.check("raqm"))), start=1):
        if drawn == f"label {number}" != name:
            print(f"on the sheet, {drawn} is {name}")


def _page(given):
    from helpers import pages, runs

    file = pages.of_run(runs.load(given.run), given.out)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB; open it by a double click")
    return DONE


def _info(given):
    from helpers import runs

    runs.load(given.run).describe()
    return DONE


def _complete(given):
    import torch

    from helpers import runs

    torch.set_num_threads(1)
    run = runs.load(given.run)
    done = runs.complete(run, given.file, given.n, given.label, given.missing, given.seed)
    if _put(run, done.samples, given.out, "completed") and any(done.says):
        print(f"in this order: {', '.join(name or 'completed' for name in done.says)}")
    if done.note:
        _complain(done.note)
    return DONE


def _judge(given):
    import torch

    from helpers import runs

    torch.set_num_threads(1)
    run = runs.load(given.run)
    found = (runs.odd(run, given.folder, given.by) if given.command == "odd" else runs.classify(run, given.folder))
    print("\n".join(found.lines))
    for place, reason in found.skipped:
        print(f"left out: {place}{' ' if reason.startswith('is not ') else ': '}{reason}")
    return DONE


def _preflight(given):
    from helpers.workshop import preflight

    try:
        return DONE if preflight.run(given.explain) else MEND
    except ValueError as error:  # not left to _answer, which imports what may be missing
        _complain(str(error))
        return USAGE


def _grade(given):
    from helpers.workshop import grading

    grading.run(given.notebooks, given.out, given.limit)
    return DONE


COMMANDS = {"fit": _fit, "sample": _sample, "page": _page, "info": _info, "complete": _complete, "odd": _judge,
            "classify": _judge, "preflight": _preflight, "grade": _grade}

if __name__ == "__main__":
    sys.exit(main())
