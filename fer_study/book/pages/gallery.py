"""The gallery: every network of the book with what it costs, beside what its source says that it costs."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isnan

import pandas as pd
from pandas.io.formats.style import Styler

from ...analysis import claims, verdicts
from ...analysis.metrics import Estimate
from ...models import options_of
from ...models.cost import WAYS, parameters
from ...models.emonext import SqueezeExcitation
from ...models.keras_numbers import PRINTED, printed_counts
from ...models.resface_sizes import QUOTED, QUOTED_OPERATIONS, operations, search
from ...models.trace import trace
from ...settings.experiment import ModelConfig
from ...store import Record

EMONEXT = {"tiny": 30_564_331, "small": 52_198_891, "base": 91_765_259, "large": 204_582_475, "xlarge": 362_312_331}
"""Parameters of the published code for three channels and seven classes."""

STATED = {
    **{(f"emonext_{name}", 3): count for name, count in EMONEXT.items()},
    **{(name, 3): count for name, count in QUOTED.items()},
    ("hybrid_resnet50", 1): 1e6 * PRINTED["resnet50"],
}
"""Name and channels -> parameters that a source states, or that its published code has, at 224 px."""

EXPLAINED, ABOUT = 0.01, 0.05
"""A quoted count is explained by a reading that differs by less than the first share, "about" so much by the second."""

DIAGRAMS = {
    "cbam_cnn": {"fixed kernels": "kernels", "block 1": "blocks.0", "block 2": "blocks.1", "block 3": "blocks.2",
                 "fully connected": "head"},
    "emonext_tiny": {"spatial transformer": "stn", "stem": "net.stem", "stage 1": "net.stages.0.blocks",
                     "SE 1": "se.1", "stage 2": "net.stages.1.blocks", "SE 2": "se.2",
                     "stage 3": "net.stages.2.blocks", "SE 3": "se.3", "stage 4": "net.stages.3.blocks",
                     "head": "net.head"},
    "resface18": {"Conv1, pooling": "stem", "stage 1": "body.0", "stage 2": "body.1.0", "transposed convolution": "body.1.1",
                  "channel- spatial": "body.1.2", "stage 3": "body.2", "stage 4": "body.3", "head": "head"},
    "hybrid_resnet50": {"adapter": "adapter", "stage 1": "backbone.layer1", "stage 2": "backbone.layer2",
                        "stage 3": "backbone.layer3", "stage 4": "backbone.layer4", "reduction": "reduce",
                        "attention": "attention", "transformer": "transformer", "two branches": "head"},
    "timm:resnet50": {"stem": "net.conv1", "stage 1": "net.layer1", "stage 2": "net.layer2", "stage 3": "net.layer3",
                      "stage 4": "net.layer4", "head": "net.fc"},
    "fer48": {"stem": "stem", "stage 1": "blocks.0", "stage 2": "blocks.1", "stage 3": "blocks.2", "stage 4": "blocks.3",
              "head": "head"},
}  # fmt: skip
"""Network -> the parts of its diagram: name -> module."""


def label(record: Record) -> str:
    """Name of a network with what is not the default, and its input: ``channels x side``."""
    config, defaults = record.config.model, options_of(record.config.model.name)
    changed = "".join(f", {key} {value}" for key, value in config.options.items() if defaults[key] != value)
    return f"{config.name}{changed} ({record.config.channels} x {config.input_size})"


def table(records: Sequence[Record]) -> pd.DataFrame:
    """One row a network and input: parameters, the stated ones and how far ours are off, operations, activations, and times
    on the CPU. A network that is measured twice, beside itself less another part, is listed as it was measured first."""
    rows: dict[str, dict[str, float]] = {}
    for record in records:
        config, found = record.config, record.cost
        known = STATED if config.model.input_size == 224 else {}
        stated = known.get((config.model.name, config.channels), float("nan"))
        rows.setdefault(label(record), {
            "parameters": found["parameters"], "stated": stated, "off": 100 * (found["parameters"] / stated - 1),
            "mflops": found["mflops"], "activation_mb": found["activation_mb"],
            **{speed: found.get(speed, float("nan")) for speed in ("latency_ms", "images_per_second")},
            "threads": record.env["threads"],
        })  # fmt: skip
    return pd.DataFrame(rows).T.rename_axis("network")


def shown(rows: pd.DataFrame) -> Styler:
    """``table`` with units: millions, per cent, MFLOPs, MB, ms."""
    million, none = (lambda x: f"{x / 1e6:,.2f}"), "-"
    names = {"parameters": "parameters (M)", "stated": "stated (M)", "off": "off by (%)", "mflops": "MFLOPs",
             "activation_mb": "activations (MB)", "latency_ms": "batch of 1 (ms)",
             "images_per_second": "batch of 64 (images/s)"}  # fmt: skip
    numbers = rows.rename(columns=names)
    formats = {"parameters (M)": million, "stated (M)": million, "off by (%)": "{:+.1f}", "MFLOPs": "{:,.0f}",
               "activations (MB)": "{:,.1f}", "batch of 1 (ms)": "{:,.1f}", "batch of 64 (images/s)": "{:,.1f}",
               "threads": "{:.0f}"}  # fmt: skip
    return numbers.style.format(formats, na_rep=none)


def ways(records: Sequence[Record]) -> Styler:
    """Images a second of a training step in float32, and how many times as many in each way; each
    keeps what those before brought."""
    rows = {}
    for record in (record for record in records if record.config.timed):
        base = record.cost["step_float32"]
        rows[label(record)] = {"batch": record.config.batch_size, "float32 (images/s)": base} | {
            way: record.cost[f"step_{way}"] / base for way in WAYS[1:]
        }
    formats = {"batch": "{:.0f}", "float32 (images/s)": "{:,.1f}"} | dict.fromkeys(WAYS[1:], "x {:.2f}")
    table = pd.DataFrame(rows).T.rename_axis("network").style
    table = table.format(formats, na_rep="does not compile")
    return table.format(formats["channels-last"], na_rep="not in float32", subset=["channels-last"]) if rows else table


def parts(records: Sequence[Record]) -> pd.DataFrame:
    """What a part adds: parameters and time of a training step, in per cent of the network without it."""
    time = [f"time of a step (%){end}" for end in ("", ", low", ", high")]
    rows = []
    for record in records:
        if record.config.without:
            whole, less = record.config.model.options, record.config.without.options
            part = ", ".join(f"{k} {less[k]} -> {v}" for k, v in whole.items() if less[k] != v)
            found, network = record.cost, record.config.model
            ratios = (found.get(f"time_ratio{end}", float("nan")) for end in ("", "_low", "_high"))
            more = 100 * (found["parameters"] / found["parameters_without"] - 1)
            rows.append([network.name, part, network.input_size, more, *(100 * (ratio - 1) for ratio in ratios)])
    return pd.DataFrame(rows, columns=["network", "part", "input", "parameters (%)", *time])


def diagram(name: str, size: int, channels: int) -> pd.DataFrame:
    """What ``plots.architecture`` draws of a network."""
    return trace(ModelConfig(name=name, input_size=size), DIAGRAMS[name], in_channels=channels)


def printed() -> Styler:
    """The parameters that document 002 prints, what they could be made of (see ``keras_numbers.printed_counts``), and which
    of it is the printed number (``meets``)."""
    rows = [row | {"printed is": meets(row)} for row in printed_counts()]
    return pd.DataFrame(rows).set_index("trunk").style.format(precision=2)


def meets(row: dict[str, str | float]) -> str:
    """The counts of a row of ``printed_counts`` that are the printed number, rounded or cut to its one digit."""
    counts = {name: count for name, count in row.items() if name not in ("trunk", "printed")}
    return ", ".join(n for n, c in counts.items() if row["printed"] in (round(c, 1), floor(10 * c) / 10)) or "none"


def printed_reading() -> str:
    """A verdict on each printed number (claim hybrid-14), and on what both hybrids have in common (claim hybrid-24)."""
    lines, more, parts = [], [], float("nan")
    for row in printed_counts():
        fits = meets(row)
        verdict = f"**right** as *{fits}*" if fits != "none" else "**wrong**"
        if fits == "hybrid":
            more.append(row["printed"] - row["plain"])
            parts = row["dense"] + row["rest"]
            verdict += f"; with its map averaged instead of flattened it would be {row['plain'] + row['rest']:.1f}"
        lines.append(f"- {row['printed']} million of `{row['trunk']}` (claim hybrid-14): {verdict}.")
    stated = float(claims.load().loc["hybrid-24", "value"].removeprefix("about "))
    right = "right" if more and all(abs(x / stated - 1) < EXPLAINED for x in (parts, *more)) else "wrong"
    lines.append(
        f"- The hybrids exceed their trunks by {' and '.join(f'{x:.1f}' for x in more)} million, about {stated} are stated; "
        f"a dense layer from the flattened map and the other parts are {parts:.1f} (claim hybrid-24): **{right}**."
    )
    return "\n".join(lines)


def _stated_range(claim: str) -> tuple[float, float]:
    """The two ends of a range of shares that a claim states, in per cent."""
    low, high = (100 * float(part) for part in claims.load().loc[claim, "value"].split("-"))
    return low, high


def squeeze(sizes: Sequence[str] = tuple(EMONEXT)) -> str:
    """What squeeze-and-excitation adds where the text of EmoNeXt puts it (claim emonext-09), and what one block has (claim
    emonext-22)."""
    low, high = _stated_range("emonext-09")
    shares = []
    for name in sizes:
        none, after = (parameters(ModelConfig(name=f"emonext_{name}", input_size=224, options={"se": where}), in_channels=3)
                       for where in ("none", "after"))  # fmt: skip
        shares.append(100 * (after / none - 1))
    words = {verdicts.within(Estimate(share, float("nan"), 1, share, share), low, high) for share in shares}
    of = ", ".join(f"{share:.2f} % ({name})" for name, share in zip(sizes, shares, strict=True))
    channels = 96  # of the first stage of Tiny
    count, formula = sum(p.numel() for p in SqueezeExcitation(channels).parameters()), channels / 16 + channels
    return (
        f"- After each stage, where the text has it, squeeze-and-excitation would add {of}; stated are {low:.0f} to "
        f"{high:.0f} % (claim emonext-09): **{', '.join(sorted(words))}**.\n"
        f"- One block of {channels} channels has {count:,} parameters, the stated C/r + C gives {formula:.0f} (claim "
        f"emonext-22): **{'right' if count == formula else 'wrong'}**."
    )


def resface_sizes() -> str:
    """Whether any shortened trunk has the sizes that the source of ResFace quotes, with a verdict (claim resface-12)."""
    found = search()
    near = {name: found[f"error{name[-2:]}"].abs() < EXPLAINED for name in QUOTED}
    both = int((near["resface18"] & near["resface50"]).sum())
    quoted = " and ".join(f"{count / 1e6:.1f}" for count in QUOTED.values())
    hits18, hits50 = (int(n.sum()) for n in near.values())
    best, costs = found.iloc[0], found[near["resface50"]].apply(operations, axis=1)
    fit = costs[(costs / QUOTED_OPERATIONS - 1).abs() < ABOUT]
    example = (
        "" if fit.empty else f", the nearest with trunk {found.loc[(fit - QUOTED_OPERATIONS).abs().idxmin(), 'trunk50']}"
    )
    return (
        f"The source of ResFace quotes {quoted} million parameters (ResNet-18 and -50). Of {len(found):,} combinations of a "
        f"trunk shortened by one rule for both, a transposed convolution and a branch, {hits18} and {hits50} come within "
        f"{100 * EXPLAINED:.0f} % of one of them, {both} of both; the nearest to both is off by {100 * best['error']:.1f} % "
        f"(trunks {best['trunk18']} and {best['trunk50']}). About {QUOTED_OPERATIONS:,} million multiply-adds are quoted "
        f"with the second: of the {hits50} readings near it {len(fit)} need that, give or take {100 * ABOUT:.0f} %{example}."
        " Claim resface-12, in every reading tried: "
        f"**{'right' if both else 'wrong'}**."
    )


def overheads(records: Sequence[Record]) -> str:
    """The two overheads that the source of EmoNeXt states, with a verdict each."""
    stated = {
        "emonext-09": ("se", "parameters (%)", "Squeeze-and-excitation adds {} parameters"),
        "emonext-08": ("stn", "time of a step (%)", "The spatial transformer adds {} to the time of a training step"),
    }
    found, lines = parts(records).astype({"part": str}), []
    for claim, (option, column, says) in stated.items():
        low, high = _stated_range(claim)
        for row in found[found["part"].str.startswith(option)].to_dict("records"):
            bounds = [row.get(f"{column}, {end}", float("nan")) for end in ("low", "high")]
            interval = "" if isnan(bounds[0]) else f" [{bounds[0]:.1f}, {bounds[1]:.1f}]"
            amount = f"{row[column]:.{1 if interval else 2}f} %{interval}"
            timed = column.startswith("time")  # a time says nothing without an interval, a count needs none
            measured = Estimate(float("nan") if timed and not interval else row[column], float("nan"), 1, *bounds)
            lines.append(f"- {says.format(amount)} of `{row['network']}` at {row['input']} px; stated are {low:.0f} to "
                         f"{high:.0f} % (claim {claim}): **{verdicts.within(measured, low, high)}**.")  # fmt: skip
    return "\n".join(lines)
