"""Installs the package like a new user, from sdist and wheels without TensorFlow, and runs it.

``python tests/smoke.py [VERSION… | all]`` makes the sdist, and installs it on several Pythons:
first without a compiler, then from a wheel with C. Without arguments, these are the oldest and the
newest supported Python found. With C and without, a Python must write the same dataset; all
fingerprints must be the same. ``--installed`` only runs what is installed with this Python.

Needs only the standard library.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build/smoke"
SUPPORTED = re.findall(r":: Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
MISSING = "unchecked the same crops by tf.data: TensorFlow is not installed: pip install "
SDIST_TESTS = ("tests/unit/test_crops.py", "tests/unit/dataset", "tests/system/test_windows.py")
READ = """
import sys
from tfrec_cli import read_numpy
from tfrec_cli.runtime import native
images, labels = next(iter(read_numpy.dataset(sys.argv[1], crop=32, seed=1, batch_size=8)))
assert images.shape == (8, 32, 32, 3) and labels.shape == (8,), (images.shape, labels.shape)
print("c" if native.is_compiled else "python")
"""


def run(*words: object, **environment: str) -> str:
    """Run a program that must exit with 0; return its output."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=BUILD if BUILD.is_dir() else None,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"smoke: {' '.join(map(str, words))}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def pip(python: Path, *words: object, **environment: str) -> None:
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words, **environment)


def pythons() -> dict[str, Path]:
    """Find the supported Pythons on PATH or among pyenv's versions."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {}
    for version in SUPPORTED:
        on_path = shutil.which(f"python{version}")
        for path in [*([on_path] if on_path else []), *pyenv.glob(f"{version}.*/bin/python")]:
            words = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
            asked = subprocess.run(words, capture_output=True, text=True, check=False)
            if asked.stdout.strip() == version:
                found[version] = Path(path)
    return found


def chosen(words: list[str]) -> dict[str, Path]:
    """Return the Pythons named by ``words``; by default the oldest and the newest."""
    found = pythons()
    if words == ["all"]:
        return found
    if missing := set(words) - set(found):
        sys.exit(f"smoke: found no Python {', '.join(sorted(missing))}; found {', '.join(found)}")
    return {version: found[version] for version in words or {*list(found)[:1], *list(found)[-1:]}}


def make_sdist() -> Path:
    """Make the sdist, compare it with git's files, run some of its tests; return its folder."""
    run(sys.executable, "-m", "venv", BUILD / "tools")
    pip(BUILD / "tools/bin/python", "install", "build")
    run(BUILD / "tools/bin/python", "-m", "build", "--sdist", "--outdir", BUILD, ROOT)
    (archive,) = BUILD.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(BUILD)
    source = archive.with_suffix("").with_suffix("")
    if (ROOT / ".git").exists():
        tracked = run("git", "-C", ROOT, "ls-files", "-z").rstrip("\0").split("\0")
        if lacking := [name for name in tracked if not (source / name).is_file()]:
            sys.exit(f"smoke: the sdist lacks {', '.join(lacking)}: name them in MANIFEST.in")
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={source}")
    run(sys.executable, *words, *(source / name for name in SDIST_TESTS), PYTHONPATH=str(source))
    return source


def wheel_of(python: Path, version: str, source: Path) -> Path:
    """Make the wheel with C for one Python; 3.11 and newer share one wheel."""
    kind = "cp310-cp310" if version == "3.10" else "cp311-abi3"
    if not list(BUILD.glob(f"*{kind}*.whl")):
        pip(python, "wheel", "--no-deps", "--wheel-dir", BUILD, source)
    (wheel,) = BUILD.glob(f"*{kind}*.whl")
    return wheel


def use(scripts: Path, out: Path) -> str:
    """Write, inspect, verify and read with the installed package; return kind and fingerprint."""
    python = scripts / "python"
    tfrec, same = scripts / "tfrec", scripts / "tfrec-cli"
    if run(tfrec, "--version") != run(same, "--version"):
        sys.exit("smoke: tfrec and tfrec-cli differ")
    run(tfrec, "write", ROOT / "sample_data/images", out)
    run(tfrec, "inspect", out)
    said = run(same, "verify", out, "--seed", "1", "--crop", "64")
    if MISSING not in said:
        sys.exit(f"smoke: found no line that begins {MISSING!r}, is TensorFlow here?\n{said}")
    (fingerprint,) = re.findall(r"^seed1-.*$", said, re.MULTILINE)
    return f"{run(python, '-I', '-c', READ, out).strip()} {fingerprint}"


def is_same(one: Path, other: Path) -> bool:
    """Compare two flat folders byte for byte."""
    names = sorted(path.name for path in one.iterdir())
    same = names == sorted(path.name for path in other.iterdir())
    return same and filecmp.cmpfiles(one, other, names, shallow=False)[0] == names


def smoke(version: str, python: Path, source: Path) -> str:
    """Install on one Python without and with a compiler, and use both; return the fingerprint."""
    folder = BUILD / version
    installed = folder / "venv/bin/python"
    run(python, "-m", "venv", folder / "venv")
    pip(installed, "install", source, CC="false")
    pure = use(installed.parent, folder / "python")
    wheel = wheel_of(installed, version, source)
    pip(installed, "install", "--no-deps", "--force-reinstall", wheel)
    compiled = use(installed.parent, folder / "c")
    kinds, fingerprints = zip(pure.split(), compiled.split(), strict=True)
    if kinds != ("python", "c") or fingerprints[0] != fingerprints[1]:
        sys.exit(f"smoke: Python {version}: found {pure} and {compiled}")
    if not is_same(folder / "python", folder / "c"):
        sys.exit(f"smoke: Python {version}: the datasets differ with C and without")
    print(f"Python {version}: without a compiler, and {wheel.name}: {fingerprints[0][:30]}…")
    return fingerprints[0]


def try_runners(wheel: Path) -> None:
    """Run the wheel with uvx and pipx if they are installed."""
    for words in (("uvx", "--from", wheel, "tfrec-cli"), ("pipx", "run", "--spec", wheel, "tfrec")):
        if shutil.which(words[0]):
            print(f"{words[0]}: {run(*words, '--version').strip()}")
        else:
            print(f"{words[0]}: not installed, left out")


def main() -> None:
    """Do what the arguments say."""
    if sys.argv[1:] == ["--installed"]:
        with tempfile.TemporaryDirectory() as out:
            print(use(Path(sys.executable).parent, Path(out) / "out"))
        return
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    versions = chosen(sys.argv[1:])
    source = make_sdist()
    found = {smoke(version, python, source) for version, python in sorted(versions.items())}
    if len(found) != 1:
        sys.exit(f"smoke: fingerprints differ: {found}")
    try_runners(min(BUILD.glob("*abi3*.whl"), default=source))


if __name__ == "__main__":
    main()
