"""Run a plan: port a network, keep its features as an encoder, write safetensors.

    python examples/04_run_plan.py

From a shell, with the result beside the plan: weightsurgeon run examples/04_plan.yaml
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import weightsurgeon as ws

HERE = Path(__file__).parent
FILES = ("small.keras", "02_mapping.yaml", "04_encoder.yaml", "04_plan.yaml")


def main() -> None:
    """Run the plan in a folder of its own, as a plan writes beside itself."""
    with TemporaryDirectory() as folder:
        for file in FILES:
            shutil.copy(HERE / file, folder)
        plan = Path(folder) / "04_plan.yaml"
        print((HERE / plan.name).read_text())
        print(f"{ws.run(plan)}".replace(f"{folder}/", ""))
        print("\nwritten:", ", ".join(ws.open(Path(folder) / "encoder.safetensors")))


if __name__ == "__main__":
    main()
