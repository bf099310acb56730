"""python -m helpers fit | sample | info: train a model on your own data, draw from it, and see what it is.

PyTorch is imported only when there is something to compute, so that the help comes at once.
"""

import argparse
import os
import sys

DONE, USAGE, DATA, TRAINING, RUN, STOPPED = 0, 2, 3, 4, 5, 130
CODES = """exit codes: 0 done, 2 wrong usage, 3 the data cannot be used, 4 training went wrong (or nothing could be
written), 5 the run cannot be read or continued, 130 stopped by Ctrl-C"""
PROCESSES = "several processes: torchrun --nproc-per-node=2 -m helpers fit …"


def positive(kind):
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


def parser() -> argparse.ArgumentParser:
    """The commands, with an example for each."""
    plain = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="python -m helpers", description="Your own generative model, from a folder of images or sounds, or texts.",
        epilog=f"example: python -m helpers fit data/samples/leaves --out leaves --minutes 2\n\n{CODES}",
        formatter_class=plain,
    )  # fmt: skip
    commands = top.add_subparsers(dest="command", metavar="fit | sample | info", required=True)

    def command(name, says, example):
        return commands.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.", formatter_class=plain,
                                   epilog=f"example: python -m helpers {example}\n\n{CODES}")  # fmt: skip

    fit = command("fit", "train a model, score it, check it for copying, draw samples; go on where it was stopped",
                  f"fit data/samples/leaves --out leaves --minutes 2\n{PROCESSES}")  # fmt: skip
    fit.add_argument("path", metavar="PATH", help="a folder of images or sounds (subfolders are labels), or a text")
    fit.add_argument("--out", metavar="RUN", required=True, help="the folder for the model and all about it")
    fit.add_argument("--minutes", metavar="M", type=positive(float), help="how long to train, at most (2)")
    fit.add_argument("--epochs", metavar="E", type=positive(int), help="train for so many epochs instead, however long")
    fit.add_argument("--more", metavar="M", type=positive(float), help="train a finished run on for M minutes")
    fit.add_argument("--kind", choices=("auto", "image", "sound", "text"), default="auto", help="what the data are")
    fit.add_argument("--size", metavar="S", type=positive(float),
                     help="pixels of a side (images, 28), seconds (sounds, 1), characters of a piece (text, 100)")
    fit.add_argument("--grey", action="store_true", help="make all images grey")
    fit.add_argument("--code", metavar="K", type=positive(int), help="numbers in a code (images 16, sounds 8, texts 4)")
    fit.add_argument("--seed", metavar="S", type=int, default=0, help="of the split, the weights and the noise (0)")
    fit.add_argument("--from", metavar="RUN", dest="start_from", help="start from the weights of another run")
    fit.add_argument("--device", metavar="D", help="such as cpu or cuda; a GPU if there is one")
    fit.add_argument("--threads", metavar="T", type=positive(int), default=1,
                     help="for small models one is fastest, and gives the same numbers everywhere (1)")  # fmt: skip

    sample = command("sample", "draw from a finished run", "sample leaves -n 9 --label oak --seed 1 --out oaks.png")
    sample.add_argument("run", metavar="RUN", help="the folder that fit has made")
    sample.add_argument("-n", metavar="N", type=positive(int), default=16, help="how many (16)")
    sample.add_argument("--label", metavar="L", help="one label only; by default all in turn, the same codes for each")
    sample.add_argument("--seed", metavar="S", type=int, default=0, help="another seed, other samples (0)")
    sample.add_argument("--out", metavar="FILE",
                        help="a PNG of images; a PNG of spectrograms, with FLAC or WAV files beside it; a text file, "
                        "which is printed if there is no FILE (samples)")  # fmt: skip

    info = command("info", "say what a run is: its data, its figures, its limits", "info leaves")
    info.add_argument("run", metavar="RUN", help="the folder that fit has made")
    return top


def main(arguments=None) -> int:
    """Run one command; returns the exit code. Errors are one sentence on stderr."""
    try:
        given = parser().parse_args(arguments)
    except SystemExit as stop:  # argparse has said what was wrong, or has shown the help
        return stop.code or DONE
    try:
        return {"fit": _fit, "sample": _sample, "info": _info}[given.command](given)
    except KeyboardInterrupt:
        _complain(_stopped(given))
        return STOPPED
    except Exception as error:
        return _answer(error)


def _answer(error) -> int:
    """Say an error that was meant for people, and which exit code it has; any other goes on."""
    from helpers.checkpoints import CheckpointError
    from helpers.data import DataError
    from helpers.runs import RunError
    from helpers.training import TrainingError

    kinds = ((DataError, DATA), (TrainingError, TRAINING), ((RunError, CheckpointError), RUN), (ValueError, USAGE),
             (OSError, TRAINING), (MemoryError, TRAINING))  # fmt: skip
    for kind, code in kinds:
        if isinstance(error, kind):
            if isinstance(error, MemoryError):
                text = "The memory does not suffice; give a smaller --size, or fewer examples."
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
    import torch

    from helpers import runs

    torch.set_num_threads(given.threads)
    minutes = given.minutes if given.minutes or given.epochs else 2.0
    options = {"grey": True} if given.grey else {}
    first = int(os.environ.get("RANK", 0)) == 0
    data = runs.read(given.path, given.kind, given.size, given.seed, **options)
    if first:
        data.describe()
    choices = {"code": given.code} if given.code else {}
    run = runs.fit(
        given.path, given.out, minutes=minutes, epochs=given.epochs, more=given.more, kind=given.kind, size=given.size,
        seed=given.seed, start_from=given.start_from, device=given.device, options=options, data=data, **choices,
    )  # fmt: skip
    if first:
        print(f"samples: {', '.join(sorted(str(p) for p in run.path.glob('samples.*')))}")
    return DONE


def _sample(given):
    import torch

    from helpers import runs

    torch.set_num_threads(1)
    run = runs.open(given.run)
    generator = torch.Generator().manual_seed(given.seed)
    samples = run.sample(given.n, given.label, generator)
    if run.kind == "text" and given.out is None:
        print("\n".join(samples.x))
        return DONE
    files = runs.sheet(samples, given.out or "samples", run.kind)
    print("\n".join(map(str, files)))
    return DONE


def _info(given):
    from helpers import runs

    runs.open(given.run).describe()
    return DONE


if __name__ == "__main__":
    sys.exit(main())
