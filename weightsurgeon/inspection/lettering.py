"""Letters as pixels: the five by seven dots of character displays, so that a PNG can say numbers.

Each glyph is five columns, the lowest bit on top. What has no glyph is drawn as a box.
"""

from __future__ import annotations

from functools import cache
from typing import Any

WIDTH, HEIGHT = 6, 9  # a cell: the dots, a column between letters, a row below and above

_ASCII = (
    "000000000000005f00000007000700147f147f14242a7f2a12231308646236495620500008070300001c224100"
    "0041221c002a1c7f1c2a08083e080800807030000808080808000060600020100804023e5149453e00427f4000"
    "72494949462141494d331814127f1027454545393c4a49493141211109073649494936464949291e0000140000"
    "004034000000081422411414141414004122140802015909063e415d594e7c1211127c7f494949363e41414122"
    "7f4141413e7f494949417f090909013e414151737f0808087f00417f41002040413f017f081422417f40404040"
    "7f021c027f7f0408107f3e4141413e7f090909063e4151215e7f09192946264949493203017f01033f4040403f"
    "1f2040201f3f4038403f631408146303047804036159494d43007f4141410204081020004141417f0402010204"
    "4040404040000307080020545478407f284444383844444428384444287f385454541800087e090218a4a49c78"
    "7f0804047800447d40002040403d007f1028440000417f40007c047804787c080404783844444438fc18242418"
    "18242418fc7c08040408485454542404043f44243c4020407c1c2040201c3c4030403c44281028444c9090907c"
    "4464544c440008364100000077000000413608000201020402"
)
_GLYPHS = {chr(32 + i): _ASCII[10 * i : 10 * i + 10] for i in range(95)} | {
    "−": "0808080808",
    "±": "44445f4444",
    "×": "2214081422",
    "·": "0000080000",
    "…": "4000400040",
    "‖": "007f007f00",
    "Δ": "302c232c30",
    "→": "08082a1c08",
}
_BOX = "7f4141417f"


@cache
def _glyph(letter: str) -> Any:
    import numpy as np

    columns = np.frombuffer(bytes.fromhex(_GLYPHS.get(letter, _BOX)), np.uint8)
    cell = np.zeros((HEIGHT, WIDTH), bool)
    cell[1:9, :5] = np.unpackbits(columns[:, None], axis=1, bitorder="little").T
    return cell


def dots(text: str) -> Any:
    """The text as `HEIGHT, WIDTH·letters` of True where ink is.

    >>> "".join(" #"[int(dot)] for dot in dots("T")[1])
    '##### '
    """
    import numpy as np

    return np.hstack([_glyph(letter) for letter in text] or [np.zeros((HEIGHT, 0), bool)])
