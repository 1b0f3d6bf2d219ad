"""Port a Keras file to PyTorch under names of your own, by the rules in 02_mapping.yaml.

    python examples/02_port_with_mapping.py

From a shell:

    weightsurgeon port examples/small.keras small.pt --mapping examples/02_mapping.yaml
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import weightsurgeon as ws

HERE = Path(__file__).parent


def main() -> None:
    """Port, print the report, and show how one tensor lies on each side."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / "small.pt"
        report = ws.port(HERE / "small.keras", target, mapping=HERE / "02_mapping.yaml")
        print(f"{report}".replace(f"{HERE}/", "").replace(f"{folder}/", ""))

        there = ws.open(HERE / "small.keras")["fc1/kernel"]
        here = ws.open(target)["head.0.weight"]
        print(f"\nfc1/kernel     {there.spec.shape} lies as [{there.spec.axes}]")
        print(f"head.0.weight  {here.spec.shape}: torch.load reads it, no transpose left to do")


if __name__ == "__main__":
    main()
