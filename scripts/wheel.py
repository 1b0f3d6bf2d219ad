"""The built wheel holds what a checkout has, and answers from another folder without the source."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Build the wheel, compare its files with the checkout's, run its command."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        with ZipFile(wheel) as archive:
            missing = expected() - set(archive.namelist())
        for name in sorted(missing):
            print(f"{wheel.name} lacks {name}")
        return int(bool(missing) or not answers(wheel, Path(folder)))


def build(folder: Path) -> Path:
    """The wheel, made in a folder of its own."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "-w", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


def expected() -> set[str]:
    """Every module, and every mapping under the package's name."""
    modules = (path.relative_to(ROOT) for path in ROOT.glob("weightsurgeon/**/*.py"))
    mappings = (path.relative_to(ROOT) for path in ROOT.glob("mappings/**/*.yaml"))
    return {str(path) for path in modules} | {f"weightsurgeon/{path}" for path in mappings}


def answers(wheel: Path, folder: Path) -> bool:
    """Whether the wheel alone, put first on the path, answers `--help`."""
    code = f"import sys; sys.path.insert(0, {str(wheel)!r}); sys.argv = ['weightsurgeon', '--help']"
    code += "; from weightsurgeon.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"{wheel.name} does not answer --help:\n{done.stderr}")
    else:
        print(f"{wheel.name} answers")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
