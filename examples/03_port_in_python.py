"""There and back in Python: port to PyTorch, port back, prove that no bit has changed.

python examples/03_port_in_python.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import weightsurgeon as ws

SMALL = Path(__file__).with_name("small.keras")


def main() -> None:
    """Port both ways, compare; then leave something open and see it refused."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        ws.port(SMALL, folder / "small.pt")  # no mapping: every layer keeps its name
        print("in PyTorch:", ", ".join(ws.open(folder / "small.pt")))

        # a .pt file has no structure for Keras to load: the first file is the template
        ws.port(folder / "small.pt", folder / "back.keras", template=SMALL)
        print("and back:  ", ws.verify(folder / "back.keras", SMALL))

        wrong = folder / "wrong.yaml"
        wrong.write_text(WRONG)
        try:
            ws.port(SMALL, folder / "wrong.pt", mapping=wrong)
        except ws.SurgeryError as error:  # all problems at once, before anything is written
            print(f"\nrefused: {error}".replace(f"{folder}/", ""))


# the first rule does not say how the kernel lies on either side, and to guess would be to risk it
WRONG = """
weightsurgeon: 1
source: {dialect: keras}
target: {dialect: torch}
rules:
- {from: fc2/kernel, to: fc2.weight}
- {layer: "{name}", to: "{name}", kind: auto}
"""


if __name__ == "__main__":
    main()
