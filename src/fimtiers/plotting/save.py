"""Write a figure as SVG and PDF, and the sentences of its caption beside it."""

from pathlib import Path

from matplotlib.figure import Figure

from fimtiers.io import atomic
from fimtiers.plotting.style import figure_style

UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
DESCRIPTION = {"svg": "Description", "pdf": "Subject"}


def save_figure(
    figure: Figure, number: int, caption: str, svg: Path, pdf: Path, text: Path
) -> None:
    """Write a figure twice and its caption once, each file in one step.

    The files bear no date and no random identifier: the same figure gives the same bytes. The
    caption is in the metadata of both, for readers who cannot see the picture.

    Parameters
    ----------
    figure
        From one of the modules of this folder.
    number
        Its number, which the caption begins with.
    caption
        Sentences in reStructuredText.
    svg, pdf, text
        Where to write.

    Raises
    ------
    ValueError
        If a file has another ending than its kind.
    """
    caption = f"Figure {number}. {caption}"
    for kind, path in (("svg", svg), ("pdf", pdf)):
        if path.suffix != f".{kind}":
            raise ValueError(f"{path} is to hold {kind.upper()}; its name must end in .{kind}")
        metadata = {**UNDATED[kind], DESCRIPTION[kind]: caption}
        with figure_style(), atomic(path) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata)
    with atomic(text) as temporary:
        temporary.write_text(f"{caption}\n", encoding="utf-8")
