"""The built wheel holds what a checkout has and works in another folder, without the checkout."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Build the wheel, compare its files with the checkout's, use it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        with ZipFile(wheel) as archive:
            archive.extractall(folder / "site")
            missing = expected() - set(archive.namelist())
        for lacking in sorted(missing):
            print(f"{wheel.name} lacks {lacking}")
        return int(bool(missing) or not answers(wheel.name, folder))


def build(folder: Path) -> Path:
    """The wheel, made in a folder of its own."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "-w", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


def expected() -> set[str]:
    """Every module, what the report is made of, every mapping under the package's name."""
    ours = (p for s in ("py", "css", "js") for p in ROOT.glob(f"weightsurgeon/**/*.{s}"))
    modules = (path.relative_to(ROOT) for path in ours)
    mappings = (path.relative_to(ROOT) for path in ROOT.glob("mappings/**/*.yaml"))
    return {str(path) for path in modules} | {f"weightsurgeon/{path}" for path in mappings}


CODE = """
import sys
sys.path.insert(0, "site")
from weightsurgeon.mapping.load import find
print(find("mtcnn/pnet").resolve())
from weightsurgeon.cli import main
sys.argv = ["weightsurgeon", "--help"]
sys.exit(main())
"""


def answers(name: str, folder: Path) -> bool:
    """Whether the wheel alone finds its mappings and answers `--help`, in another folder."""
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    mapping = (folder / "site/weightsurgeon/mappings/mtcnn/pnet.yaml").resolve()
    if done.returncode or not done.stdout.startswith(f"{mapping}\n"):
        print(f"{name} does not answer:\n{done.stdout}{done.stderr}")
        return False
    print(f"{name} answers")
    return True


if __name__ == "__main__":
    sys.exit(main())
